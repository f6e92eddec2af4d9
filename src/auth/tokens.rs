//! JSON Web Tokens (RFC 7519): HS256, a day by default, each bound to a session.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::Account;
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::id::{SessionId, UserId};
use crate::users::Role;

/// What a token says (contract, section 2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claims {
    pub id: UserId,
    pub username: String,
    pub role: Role,
    pub email: String,
    pub is_verified: bool,
    /// Seconds since 1970.
    pub iat: i64,
    /// Seconds since 1970.
    pub exp: i64,
    /// The session.
    pub jti: SessionId,
}

/// Tokens that are remembered at most.
const MAX_KNOWN: usize = 10_000;

/// Signs and reads tokens.
pub(super) struct Tokens {
    /// The claims of tokens whose signature was checked, by the token's hash: a signature stays right, so it is checked
    /// once. Whether a token has expired or was revoked is asked each time.
    known: RwLock<HashMap<blake3::Hash, Arc<Claims>>>,
    header: Header,
    signs: EncodingKey,
    verifies: DecodingKey,
    validation: Validation,
}

impl Tokens {
    pub(super) fn new(secret: &[u8]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // The expiry must be there; it is compared with our own clock below.
        validation.validate_exp = false;
        Self {
            known: RwLock::default(),
            header: Header::new(Algorithm::HS256),
            signs: EncodingKey::from_secret(secret),
            verifies: DecodingKey::from_secret(secret),
            validation,
        }
    }

    pub(super) fn issue(
        &self,
        account: &Account,
        session: SessionId,
        at: Timestamp,
        expires_at: Timestamp,
    ) -> Result<String> {
        let claims = Claims {
            id: account.id,
            username: account.username.clone(),
            role: account.role,
            email: account.email.clone(),
            is_verified: account.is_verified,
            iat: at.as_secs(),
            exp: expires_at.as_secs(),
            jti: session,
        };
        jsonwebtoken::encode(&self.header, &claims, &self.signs).map_err(Error::internal)
    }

    /// The claims of a token that we signed and that has not expired. Whether its session still stands is not known here.
    pub(super) fn read(&self, token: &str, now: Timestamp) -> Result<Arc<Claims>> {
        let hash = blake3::hash(token.as_bytes());
        let known = self
            .known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&hash)
            .cloned();
        let claims = match known {
            Some(claims) => claims,
            None => self.check(token, hash)?,
        };
        if claims.exp <= now.as_secs() {
            Err(Error::new(Code::Unauthenticated))
        } else {
            Ok(claims)
        }
    }

    fn check(&self, token: &str, hash: blake3::Hash) -> Result<Arc<Claims>> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.verifies, &self.validation)
            .map_err(|error| Error::new(Code::Unauthenticated).with_source(error))?
            .claims;
        let claims = Arc::new(claims);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        // Simple, and seldom: those in use are back at once.
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(hash, Arc::clone(&claims));
        Ok(claims)
    }
}

//! JSON Web Tokens (RFC 7519): HS256, a day by default, each bound to a session.

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

/// Signs and reads tokens.
pub(super) struct Tokens {
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
    pub(super) fn read(&self, token: &str, now: Timestamp) -> Result<Claims> {
        let refused = || Error::new(Code::Unauthenticated);
        let claims = jsonwebtoken::decode::<Claims>(token, &self.verifies, &self.validation)
            .map_err(|error| refused().with_source(error))?
            .claims;
        if claims.exp <= now.as_secs() {
            Err(refused())
        } else {
            Ok(claims)
        }
    }
}

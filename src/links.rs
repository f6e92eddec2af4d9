//! Addresses of our own files, written for whoever asks.
//!
//! Below the edge an address is a path, such as `/media/123`. What it becomes for a client depends on the request: the
//! host under which the client reaches us, and a signature where a file is not for everybody. Both are known where JSON
//! is written, so that is where they are added: inside [`Links::scope`] a [`Link`] is written whole, outside of it (in a
//! command's stored output, say) as it stands.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Timestamp;

/// Begin the stored form of an address that needs a signature. No address that a person may give begins like that.
const SIGNED: &str = "signed:";
const SIGNED_WITHIN: &str = "signed-within:";
const BRIEFLY: &str = "signed-briefly:";
const BRIEFLY_WITHIN: &str = "signed-briefly-within:";

/// How long a brief signature is good at least, in seconds, and up to twice as long.
const BRIEF_S: i64 = 300;

/// Stands in a path for its signature, where relative addresses are to inherit it.
const KEY: &str = "{key}";

/// Bytes of a signature: 128 bits.
const SIGNATURE: usize = 16;

tokio::task_local! {
    static LINKS: Links;
}

/// How addresses are written for one client.
#[derive(Clone, Debug)]
pub struct Links {
    /// What stands before a path: `https://social.example.org`, or nothing.
    pub base: Arc<str>,
    /// Signs them.
    pub signer: Signer,
    /// The present moment.
    pub now: Timestamp,
}

/// Makes and checks the signatures of addresses. Cheap to clone.
#[derive(Clone)]
pub struct Signer {
    key: Arc<[u8; 32]>,
    good_for_s: i64,
}

/// The address of a file of ours, or of one elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    path: String,
    signature: Place,
}

/// Where an address has its signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// It has none: everybody may open it.
    Nowhere,
    Query,
    /// Where [`KEY`] stands.
    Path,
    /// Like those, for some minutes alone.
    BriefQuery,
    BriefPath,
}

impl Links {
    /// Runs `work`, in which addresses are written for this client.
    pub async fn scope<T>(self, work: impl Future<Output = T>) -> T {
        LINKS.scope(self, work).await
    }

    /// Does `work`, in which addresses are written for this client.
    pub fn within<T>(self, work: impl FnOnce() -> T) -> T {
        LINKS.sync_scope(self, work)
    }

    /// Those of the scope, for work that goes on elsewhere [`within`](Self::within) it; none outside of one.
    pub fn current() -> Option<Self> {
        LINKS.try_with(Clone::clone).ok()
    }

    /// What stands before a path for the client whose scope this is.
    pub fn current_base() -> Option<Arc<str>> {
        LINKS.try_with(|links| Arc::clone(&links.base)).ok()
    }

    /// The address as this client should see it.
    fn write(&self, link: &Link) -> String {
        let base = if link.path.starts_with('/') {
            &self.base
        } else {
            ""
        };
        match link.signature {
            Place::Nowhere => format!("{base}{}", link.path),
            Place::Query | Place::BriefQuery => {
                let query = self.signer.sign(&link.path, self.expires(link));
                format!("{base}{}?{query}", link.path)
            }
            Place::Path | Place::BriefPath => {
                let key = self.signer.key(&link.path, self.expires(link));
                format!("{base}{}", link.path.replace(KEY, &key))
            }
        }
    }
}

impl Links {
    fn expires(&self, link: &Link) -> i64 {
        let good_for_s = match link.signature {
            Place::BriefQuery | Place::BriefPath => BRIEF_S.min(self.signer.good_for_s),
            Place::Nowhere | Place::Query | Place::Path => self.signer.good_for_s,
        };
        // The same all through one period, so that what holds it is the same too, and caches find it again.
        let period = self.now.as_secs().div_euclid(good_for_s);
        period.saturating_add(2).saturating_mul(good_for_s)
    }
}

impl Signer {
    /// Signatures by this secret, each good for this long and up to as long again.
    pub fn new(secret: &[u8; 32], good_for: Duration) -> Self {
        Self {
            key: Arc::new(blake3::derive_key(
                "socialhub 2026 signed addresses",
                secret,
            )),
            good_for_s: i64::try_from(good_for.as_secs()).unwrap_or(i64::MAX).max(1),
        }
    }

    /// The query that opens what lies under `path`: `expires=...&signature=...`.
    fn sign(&self, path: &str, expires: i64) -> String {
        format!(
            "expires={expires}&signature={}",
            self.signature(path, expires)
        )
    }

    /// The same as a part of a path: `expires-signature`.
    fn key(&self, path: &str, expires: i64) -> String {
        format!("{expires}-{}", self.signature(path, expires))
    }

    /// Whether a signature opens `path` now.
    pub fn allows(&self, path: &str, expires: i64, signature: &str, now: Timestamp) -> bool {
        // Compared as hashes: how much of it is right shall not show in the time taken.
        let same = blake3::hash(signature.as_bytes())
            == blake3::hash(self.signature(path, expires).as_bytes());
        same && now.as_secs() < expires
    }

    fn signature(&self, path: &str, expires: i64) -> String {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&expires.to_le_bytes());
        hasher.update(root(path).as_bytes());
        let hash = hasher.finalize();
        URL_SAFE_NO_PAD.encode(
            hash.as_bytes()
                .first_chunk::<SIGNATURE>()
                .unwrap_or(&[0; SIGNATURE]),
        )
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

/// What a signature covers: `/media/123` for all sizes and forms of that one.
fn root(path: &str) -> &str {
    match path.match_indices('/').nth(2) {
        Some((end, _)) => path.get(..end).unwrap_or(path),
        None => path,
    }
}

impl Link {
    /// An address that everybody may open.
    pub fn public(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            signature: Place::Nowhere,
        }
    }

    /// An address of ours whose path has the signature in it, where `{key}` stands: addresses relative to it open as well.
    pub fn signed_within(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            signature: Place::Path,
        }
    }

    /// An address of ours that opens with a signature alone, which whoever is shown it gets along.
    pub fn signed(path: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            signature: Place::Query,
        }
    }

    /// Has the signature, if there is one, be good for some minutes alone.
    pub fn sign_briefly(&mut self) {
        self.signature = match self.signature {
            Place::Query => Place::BriefQuery,
            Place::Path => Place::BriefPath,
            other => other,
        };
    }

    /// What it takes in memory, in bytes, beside the size of its type.
    pub fn heap_bytes(&self) -> usize {
        self.path.capacity()
    }

    /// The address as the client sees it whose scope this is; outside of one, the path alone.
    pub fn written(&self) -> String {
        LINKS
            .try_with(|links| links.write(self))
            .unwrap_or_else(|_outside| self.path.clone())
    }
}

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(written) = LINKS.try_with(|links| links.write(self)) {
            return serializer.serialize_str(&written);
        }
        let kept = match self.signature {
            Place::Nowhere => return serializer.serialize_str(&self.path),
            Place::Query => SIGNED,
            Place::Path => SIGNED_WITHIN,
            Place::BriefQuery => BRIEFLY,
            Place::BriefPath => BRIEFLY_WITHIN,
        };
        serializer.collect_str(&format_args!("{kept}{}", self.path))
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        for (prefix, signature) in [
            (SIGNED, Place::Query),
            (SIGNED_WITHIN, Place::Path),
            (BRIEFLY, Place::BriefQuery),
            (BRIEFLY_WITHIN, Place::BriefPath),
        ] {
            if let Some(path) = text.strip_prefix(prefix) {
                let path = path.to_owned();
                return Ok(Self { path, signature });
            }
        }
        Ok(Self::public(text))
    }
}

impl utoipa::PartialSchema for Link {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
        utoipa::openapi::schema::ObjectBuilder::new()
            .schema_type(utoipa::openapi::schema::Type::String)
            .description(Some("A web address, or a path on this server."))
            .examples([serde_json::json!(
                "https://social.example.org/media/1745026836037632"
            )])
            .into()
    }
}

impl utoipa::ToSchema for Link {
    fn name() -> std::borrow::Cow<'static, str> {
        "Link".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn links() -> Links {
        Links {
            base: "https://social.example.org".into(),
            signer: Signer::new(&[7; 32], Duration::from_hours(1)),
            now: Timestamp::from_millis(1_700_000_000_000),
        }
    }

    fn json(link: &Link) -> String {
        serde_json::to_string(link).unwrap()
    }

    #[tokio::test]
    async fn an_address_is_written_for_whoever_asks_and_kept_as_it_stands() {
        let (open, closed) = (Link::public("/media/1"), Link::signed("/media/2"));
        let elsewhere = Link::public("https://example.org/a.png");
        // What people give is never signed, whatever it looks like.
        let tricks = ["/media/3/{key}", "/media/3?sign"].map(Link::public);
        let within = Link::signed_within("/media/4/hls/{key}/a");
        let mut brief = [closed.clone(), within.clone()];
        brief.iter_mut().for_each(Link::sign_briefly);
        for link in [
            &open, &closed, &elsewhere, &within, &tricks[0], &tricks[1], &brief[0], &brief[1],
        ] {
            let kept: Link = serde_json::from_str(&json(link)).unwrap();
            assert_eq!(&kept, link);
        }
        let written = links()
            .scope(async {
                [&open, &closed, &elsewhere, &tricks[0], &tricks[1], &within].map(json)
            })
            .await;
        for written in &written[3..5] {
            assert!(!written.contains("17000"), "{written}");
        }
        assert!(written[5].starts_with("\"https://social.example.org/media/4/hls/17000"));
        assert_eq!(written[0], "\"https://social.example.org/media/1\"");
        assert!(written[1].starts_with("\"https://social.example.org/media/2?expires=17000"));
        assert_eq!(written[2], "\"https://example.org/a.png\"");
    }

    #[test]
    fn a_signature_opens_one_file_in_all_its_forms_for_a_while() {
        let links = links();
        let (signer, now) = (&links.signer, links.now);
        let mut link = Link::signed("/media/2");
        let query = signer.sign("/media/2", links.expires(&link));
        let (expires, signature) = query
            .strip_prefix("expires=")
            .and_then(|rest| rest.split_once("&signature="))
            .unwrap();
        let expires: i64 = expires.parse().unwrap();
        let at = |later: u64| now.plus(Duration::from_secs(later));
        assert!(signer.allows("/media/2", expires, signature, now));
        assert!(signer.allows("/media/2/640.webp", expires, signature, at(3_600)));
        assert!(!signer.allows("/media/2", expires, signature, at(7_201)));
        assert!(!signer.allows("/media/2", expires + 1, signature, now));
        assert!(!signer.allows("/media/20", expires, signature, now));
        assert!(!signer.allows("/media/2", expires, "", now));
        let next = Links {
            now: at(1),
            ..links.clone()
        };
        assert_eq!(expires, next.expires(&link));
        link.sign_briefly();
        let left = links.expires(&link) - now.as_secs();
        assert!((300..=600).contains(&left), "{left}");
        let other = Signer::new(&[8; 32], Duration::from_hours(1));
        assert!(!other.allows("/media/2", expires, signature, now));
    }
}

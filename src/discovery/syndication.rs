//! Public posts for feed readers, which have no account here.

use std::sync::Arc;

use super::documents::{Document, Entry, Format, write};
use super::{Discovery, sql};
use crate::clock::Timestamp;
use crate::error::{Code, Error, Result};
use crate::event::UserStatus;
use crate::id::UserId;
use crate::links::Links;
use crate::posts::{self, Post};
use crate::store::ReadTx;
use crate::text;
use crate::users;

/// Posts in a feed.
const POSTS: u32 = 30;
/// Posts with a hashtag that are looked at for those.
const LOOKED_AT: u32 = 300;

/// Whose posts.
#[derive(Clone, Debug)]
pub enum Source {
    /// A person's, by their username.
    Person(String),
    /// A hashtag's, with or without `#`.
    Tag(String),
}

/// A feed, written out.
#[derive(Clone, Debug)]
pub struct Syndicated {
    /// The document, in UTF-8.
    pub text: Vec<u8>,
    /// When the newest of its posts last changed; of an older one's removal that tells nothing. None as long as that second
    /// is not over: HTTP counts no smaller ones, and the next change would look like this one.
    pub modified: Option<Timestamp>,
}

/// What stands in a feed.
struct Found {
    title: String,
    about: String,
    /// What stays the same when a person changes their name: the path of their profile, or of the tag.
    id: String,
    /// The path of the page for people.
    page: String,
    /// The path of the feed, without its ending.
    address: String,
    updated: Timestamp,
    posts: Vec<Post>,
}

impl Discovery {
    /// The latest public posts of somebody or with a hashtag as a document, for everybody. Within the scope of
    /// [`Links`], which the addresses of pictures need.
    ///
    /// Errors: `user_not_found`, also of those who do not want it; `not_found` where the server does not;
    /// `invalid_fields` of what is no hashtag.
    pub async fn syndicate(&self, source: Source, format: Format) -> Result<Syndicated> {
        if !self.options.syndication {
            return Err(Error::new(Code::NotFound));
        }
        let url = Arc::clone(&self.public_url);
        let links = Links::current();
        let written = self.store.read(move |tx| {
            let found = match source {
                Source::Person(username) => of_person(tx, &username),
                Source::Tag(tag) => of_tag(tx, &tag),
            }?;
            let updated = found.updated;
            // Here and not on an async thread, since it may be long.
            let work = || found.document(&url, format);
            let text = match links {
                Some(links) => links.within(work),
                None => work(),
            };
            Ok((text.map_err(Error::internal)?, updated))
        });
        let (text, updated) = written.await?;
        Ok(Syndicated {
            text,
            modified: (updated.as_secs() < self.clock.now().as_secs()).then_some(updated),
        })
    }
}

impl Found {
    fn document(self, url: &str, format: Format) -> std::io::Result<Vec<u8>> {
        let document = Document {
            title: self.title,
            about: self.about,
            id: format!("{url}{}", self.id),
            page: format!("{url}{}", self.page),
            address: format!("{url}{}.{}", self.address, format.ending()),
            updated: self.updated,
        };
        let entries = self.posts.iter().map(|post| Entry::new(post, url));
        write(&document, entries, format)
    }
}

/// Who asks without an account: blocks nobody, follows nobody, has written nothing.
fn nobody() -> UserId {
    UserId::from(0)
}

fn of_person(tx: &ReadTx<'_>, username: &str) -> Result<Found> {
    let id = users::sql::find_by_username_key(tx, &text::username_key(username))?;
    let user = id
        .map(|id| users::living(tx, id))
        .transpose()?
        .filter(|user| user.status == UserStatus::Active)
        .ok_or(Code::UserNotFound)?;
    let person = &user.person;
    if !sql::settings(tx, person.id)?.is_syndicated {
        return Err(Error::new(Code::UserNotFound));
    }
    let ids = sql::latest_public(tx, person.id, POSTS)?;
    let posts = posts::readable(tx, nobody(), &ids)?;
    let name = segment(&person.username);
    Ok(Found {
        about: user
            .bio
            .clone()
            .unwrap_or_else(|| format!("Public posts of {}", person.name)),
        title: format!("{} (@{})", person.name, person.username),
        id: format!("/api/v1/users/profile/{}", person.id),
        page: format!("/@{name}"),
        address: format!("/api/v1/users/by-username/{name}/posts"),
        updated: newest(&posts).unwrap_or(user.created_at),
        posts,
    })
}

fn of_tag(tx: &ReadTx<'_>, raw: &str) -> Result<Found> {
    let tag = text::hashtag("tag", raw).map_err(|fault| Error::invalid_fields(vec![fault]))?;
    let ids = sql::latest_tagged(tx, &tag, LOOKED_AT, POSTS)?;
    let posts = posts::readable(tx, nobody(), &ids)?;
    let name = segment(&tag);
    Ok(Found {
        title: format!("#{tag}"),
        about: format!("Public posts with #{tag}"),
        id: format!("/api/v1/tags/{name}"),
        page: format!("/tags/{name}"),
        address: format!("/api/v1/tags/{name}/posts"),
        updated: newest(&posts).unwrap_or_default(),
        posts,
    })
}

fn newest(posts: &[Post]) -> Option<Timestamp> {
    posts.iter().map(|post| post.updated_at).max()
}

/// A name as one segment of a path.
pub(super) fn segment(name: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    /// All but what RFC 3986 calls unreserved.
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(name, RESERVED).to_string()
}

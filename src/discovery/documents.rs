//! Atom (RFC 4287) and RSS 2.0, as documents.

use std::io;

use quick_xml::Writer;
use quick_xml::escape::escape;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::syndication::segment;
use crate::clock::Timestamp;
use crate::media::{Kind, MediaItem};
use crate::posts::Post;

/// What all entries of a document may take, in bytes; it ends before the first that does not fit. Any post fits alone.
const MAX_BYTES: usize = 192 * 1024;
/// Characters of a title, which posts do not have: their beginning.
const TITLE_CHARS: usize = 80;

const ATOM: &str = "http://www.w3.org/2005/Atom";
const DUBLIN_CORE: &str = "http://purl.org/dc/elements/1.1/";

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Atom, RFC 4287.
    Atom,
    /// RSS 2.0.
    Rss,
}

impl Format {
    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Atom => "application/atom+xml",
            Self::Rss => "application/rss+xml",
        }
    }

    /// How addresses of such documents end.
    pub(super) fn ending(self) -> &'static str {
        match self {
            Self::Atom => "atom",
            Self::Rss => "rss",
        }
    }
}

/// A feed; addresses are whole.
pub(super) struct Document {
    pub(super) title: String,
    pub(super) about: String,
    /// Never changes.
    pub(super) id: String,
    /// The page for people.
    pub(super) page: String,
    /// Where the document itself is.
    pub(super) address: String,
    pub(super) updated: Timestamp,
}

/// A post in a feed.
pub(super) struct Entry {
    id: String,
    page: String,
    title: String,
    html: String,
    author: String,
    author_page: String,
    tags: Vec<String>,
    published: Timestamp,
    updated: Timestamp,
}

impl Entry {
    /// `url` is where people reach the server.
    pub(super) fn new(post: &Post, url: &str) -> Self {
        let author_page = format!("{url}/@{}", segment(&post.author_username));
        Self {
            id: format!("{url}/api/v1/posts/{}", post.id),
            page: format!("{author_page}/{}", post.id),
            title: title(post),
            html: html(post),
            author: post.author.name.clone(),
            author_page,
            tags: post.hashtags.clone(),
            published: post.created_at,
            updated: post.updated_at,
        }
    }
}

/// What a post says, in its parts.
fn texts(post: &Post) -> impl Iterator<Item = &str> {
    [post.content.as_deref(), post.caption.as_deref()]
        .into_iter()
        .flatten()
}

/// The beginning of what a post says.
fn title(post: &Post) -> String {
    let line = texts(post)
        .flat_map(str::lines)
        .find(|line| !line.trim().is_empty());
    let Some(line) = line else {
        return format!("A post by {}", post.author.name);
    };
    let mut title: String = line.chars().take(TITLE_CHARS).collect();
    if title.len() < line.len() {
        title.push('…');
    }
    title
}

/// What a post says and shows, as HTML.
fn html(post: &Post) -> String {
    let said = texts(post).map(|text| format!("<p>{}</p>", escape(text).replace('\n', "<br>")));
    said.chain(post.media.iter().map(shown)).collect()
}

/// A picture, a video or a recording in HTML. What people are to be asked about first is a link.
fn shown(item: &MediaItem) -> String {
    let address = item.url.written();
    let address = escape(address.as_str());
    let about = escape(item.alt.as_deref().unwrap_or_default());
    if item.is_sensitive {
        let about = if about.is_empty() {
            "Sensitive"
        } else {
            &about
        };
        return format!(r#"<p><a href="{address}">{about}</a></p>"#);
    }
    match item.kind {
        Kind::Image => format!(r#"<p><img src="{address}" alt="{about}"></p>"#),
        Kind::Video => {
            format!(r#"<p><video src="{address}" title="{about}" controls></video></p>"#)
        }
        Kind::Audio => {
            format!(r#"<p><audio src="{address}" title="{about}" controls></audio></p>"#)
        }
    }
}

type Xml = Writer<Vec<u8>>;

/// Writes a document in UTF-8.
pub(super) fn write(
    document: &Document,
    entries: impl Iterator<Item = Entry>,
    format: Format,
) -> io::Result<Vec<u8>> {
    let mut xml = Writer::new(Vec::new());
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)))?;
    match format {
        Format::Atom => atom(&mut xml, document, entries)?,
        Format::Rss => rss(&mut xml, document, entries)?,
    }
    Ok(xml.into_inner())
}

/// Writes entries one after the other, as long as there is room.
fn put_entries(
    xml: &mut Xml,
    entries: impl Iterator<Item = Entry>,
    one: impl Fn(&mut Xml, &Entry) -> io::Result<()>,
) -> io::Result<()> {
    let mut room = MAX_BYTES;
    for entry in entries {
        let mut written = Writer::new(Vec::new());
        one(&mut written, &entry)?;
        let written = written.into_inner();
        let Some(rest) = room.checked_sub(written.len()) else {
            break;
        };
        room = rest;
        xml.get_mut().extend_from_slice(&written);
    }
    Ok(())
}

fn element(xml: &mut Xml, name: &str, text: &str) -> io::Result<()> {
    xml.create_element(name)
        .write_text_content(BytesText::new(&sayable(text)))?;
    Ok(())
}

fn link(xml: &mut Xml, name: &str, rel: &str, media_type: &str, href: &str) -> io::Result<()> {
    xml.create_element(name)
        .with_attributes([("rel", rel), ("type", media_type), ("href", href)])
        .write_empty()?;
    Ok(())
}

/// Without what XML 1.0 cannot say, not even escaped (section 2.2).
fn sayable(text: &str) -> String {
    text.chars()
        .filter(|c| {
            matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
        })
        .collect()
}

fn atom(
    xml: &mut Xml,
    document: &Document,
    entries: impl Iterator<Item = Entry>,
) -> io::Result<()> {
    xml.create_element("feed")
        .with_attribute(("xmlns", ATOM))
        .write_inner_content(|xml| {
            element(xml, "id", &document.id)?;
            element(xml, "title", &document.title)?;
            element(xml, "subtitle", &document.about)?;
            element(xml, "updated", &document.updated.to_string())?;
            link(
                xml,
                "link",
                "self",
                Format::Atom.media_type(),
                &document.address,
            )?;
            link(xml, "link", "alternate", "text/html", &document.page)?;
            put_entries(xml, entries, atom_entry)
        })?;
    Ok(())
}

fn atom_entry(xml: &mut Xml, entry: &Entry) -> io::Result<()> {
    xml.create_element("entry").write_inner_content(|xml| {
        element(xml, "id", &entry.id)?;
        element(xml, "title", &entry.title)?;
        element(xml, "published", &entry.published.to_string())?;
        element(xml, "updated", &entry.updated.to_string())?;
        link(xml, "link", "alternate", "text/html", &entry.page)?;
        xml.create_element("author").write_inner_content(|xml| {
            element(xml, "name", &entry.author)?;
            element(xml, "uri", &entry.author_page)
        })?;
        for tag in &entry.tags {
            xml.create_element("category")
                .with_attribute(("term", tag.as_str()))
                .write_empty()?;
        }
        xml.create_element("content")
            .with_attribute(("type", "html"))
            .write_text_content(BytesText::new(&sayable(&entry.html)))?;
        Ok(())
    })?;
    Ok(())
}

fn rss(xml: &mut Xml, document: &Document, entries: impl Iterator<Item = Entry>) -> io::Result<()> {
    xml.create_element("rss")
        .with_attributes([
            ("version", "2.0"),
            ("xmlns:atom", ATOM),
            ("xmlns:dc", DUBLIN_CORE),
        ])
        .write_inner_content(|xml| {
            xml.create_element("channel").write_inner_content(|xml| {
                element(xml, "title", &document.title)?;
                element(xml, "link", &document.page)?;
                element(xml, "description", &document.about)?;
                element(xml, "lastBuildDate", &document.updated.to_http_date())?;
                link(
                    xml,
                    "atom:link",
                    "self",
                    Format::Rss.media_type(),
                    &document.address,
                )?;
                put_entries(xml, entries, rss_item)
            })?;
            Ok(())
        })?;
    Ok(())
}

fn rss_item(xml: &mut Xml, entry: &Entry) -> io::Result<()> {
    xml.create_element("item").write_inner_content(|xml| {
        element(xml, "title", &entry.title)?;
        element(xml, "link", &entry.page)?;
        xml.create_element("guid")
            .with_attribute(("isPermaLink", "false"))
            .write_text_content(BytesText::new(&entry.id))?;
        element(xml, "pubDate", &entry.published.to_http_date())?;
        // `author` would have to be an e-mail address.
        element(xml, "dc:creator", &entry.author)?;
        for tag in &entry.tags {
            element(xml, "category", tag)?;
        }
        element(xml, "description", &entry.html)
    })?;
    Ok(())
}

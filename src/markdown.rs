//! The subset of Markdown that messages are written in, as HTML that is safe to be shown as it stands.
//!
//! Emphasis, strong emphasis, strikethrough, code, blocks of code, quotes, lists and links (`CommonMark` 0.31, strikethrough as
//! in GFM); a line break is one; addresses that begin with `http://` or `https://` are links by themselves. HTML is text,
//! a heading is a paragraph, a picture is a link. Links lead to `http`, `https` and `mailto` alone.
#![warn(missing_docs)]

use std::fmt::Write;

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd, TextMergeStream};

/// A text as HTML; none when it says the same without.
pub fn to_html(text: &str) -> Option<String> {
    // Most messages have nothing of all this.
    if !text.contains(SIGNS) && !text.contains("://") && !has_numbered_line(text) {
        return None;
    }
    let parser = Parser::new_ext(text, Options::ENABLE_STRIKETHROUGH);
    let limit = text.len() * MAX_GROWTH + 1_024;
    let mut html = Writer::default();
    for event in TextMergeStream::new(parser) {
        html.take(event);
        // Nobody writes like that, but to do harm.
        if html.text.len() > limit {
            return None;
        }
    }
    html.is_marked.then_some(html.text)
}

/// How much longer than the text its HTML may be.
const MAX_GROWTH: usize = 4;

/// What markup begins with, a numbered list left out.
const SIGNS: &[char] = &[
    '*', '_', '~', '`', '>', '[', '\\', '<', '&', '-', '+', '#', '=',
];

fn has_numbered_line(text: &str) -> bool {
    let begins_so = |line: &str| {
        let rest = line
            .trim_start()
            .trim_start_matches(|c: char| c.is_ascii_digit());
        rest.len() < line.trim_start().len() && rest.starts_with(['.', ')'])
    };
    text.lines().any(begins_so)
}

#[derive(Default)]
struct Writer {
    text: String,
    /// Whether there is more to it than paragraphs.
    is_marked: bool,
    /// Links within which no address becomes one; by whether each was written.
    links: Vec<bool>,
    in_code: bool,
}

impl Writer {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.in_code || !self.links.is_empty() => self.escape(&text),
            Event::Text(text) => self.linkify(&text),
            Event::Code(text) => self.wrap("code", &text),
            Event::SoftBreak | Event::HardBreak => self.text.push_str("<br>"),
            Event::Html(text) | Event::InlineHtml(text) => self.escape(&text),
            Event::Rule => self.text.push_str("<p>---</p>"),
            // Not switched on.
            Event::FootnoteReference(_)
            | Event::TaskListMarker(_)
            | Event::InlineMath(_)
            | Event::DisplayMath(_) => {}
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        match tag {
            Tag::Paragraph | Tag::Heading { .. } | Tag::HtmlBlock => self.text.push_str("<p>"),
            Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. } => self.open_link(dest_url),
            Tag::CodeBlock(kind) => {
                self.mark("<pre><code");
                if let CodeBlockKind::Fenced(language) = kind
                    && let Some(language) = language.split_whitespace().next()
                {
                    self.text.push_str(" class=\"language-");
                    self.escape(language);
                    self.text.push('"');
                }
                self.text.push('>');
                self.in_code = true;
            }
            Tag::List(Some(first)) if *first != 1 => {
                self.is_marked = true;
                // Writing to a string cannot fail.
                write!(self.text, "<ol start=\"{first}\">").ok();
            }
            other => {
                if let Some(name) = name(other.to_end()) {
                    self.mark(&format!("<{name}>"));
                }
            }
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::HtmlBlock => {
                self.text.push_str("</p>");
            }
            TagEnd::Link | TagEnd::Image => {
                if self.links.pop() == Some(true) {
                    self.text.push_str("</a>");
                }
            }
            TagEnd::CodeBlock => {
                self.in_code = false;
                self.text.push_str("</code></pre>");
            }
            other => {
                if let Some(name) = name(other) {
                    self.mark(&format!("</{name}>"));
                }
            }
        }
    }

    fn mark(&mut self, html: &str) {
        self.is_marked = true;
        self.text.push_str(html);
    }

    fn wrap(&mut self, tag: &str, text: &str) {
        self.mark(&format!("<{tag}>"));
        self.escape(text);
        self.mark(&format!("</{tag}>"));
    }

    fn open_link(&mut self, address: &str) {
        // A link within a link is none.
        let is_written = self.links.is_empty() && is_safe(address);
        self.links.push(is_written);
        if is_written {
            self.anchor(address);
        }
    }

    fn anchor(&mut self, address: &str) {
        self.mark("<a href=\"");
        self.escape(address);
        self.text
            .push_str("\" rel=\"nofollow noopener noreferrer\" target=\"_blank\">");
    }

    /// Text, in which addresses become links.
    fn linkify(&mut self, text: &str) {
        let mut rest = text;
        while let Some((before, address, after)) = find_address(rest) {
            self.escape(before);
            self.anchor(address);
            self.escape(address);
            self.text.push_str("</a>");
            rest = after;
        }
        self.escape(rest);
    }

    fn escape(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.text.push_str("&amp;"),
                '<' => self.text.push_str("&lt;"),
                '>' => self.text.push_str("&gt;"),
                '"' => self.text.push_str("&quot;"),
                '\'' => self.text.push_str("&#39;"),
                other => self.text.push(other),
            }
        }
    }
}

/// The element for what is taken over as it is.
fn name(tag: TagEnd) -> Option<&'static str> {
    Some(match tag {
        TagEnd::Emphasis => "em",
        TagEnd::Strong => "strong",
        TagEnd::Strikethrough => "del",
        TagEnd::BlockQuote(_) => "blockquote",
        TagEnd::List(true) => "ol",
        TagEnd::List(false) => "ul",
        TagEnd::Item => "li",
        _ => return None,
    })
}

fn is_safe(address: &str) -> bool {
    let begins = |scheme: &str| {
        address
            .get(..scheme.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(scheme))
    };
    ["http://", "https://", "mailto:"].into_iter().any(begins)
}

/// The first address of a text: what is before it, it, and what is after it.
fn find_address(text: &str) -> Option<(&str, &str, &str)> {
    let mut places = text.match_indices("http");
    places.find_map(|(at, _)| address_at(text, at))
}

/// The address that begins there, if one does.
fn address_at(text: &str, at: usize) -> Option<(&str, &str, &str)> {
    let (before, from) = text.split_at(at);
    let continues_a_word = before
        .chars()
        .next_back()
        .is_some_and(char::is_alphanumeric);
    if continues_a_word || !(from.starts_with("http://") || from.starts_with("https://")) {
        return None;
    }
    let end = from.find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"'));
    let run = end.map_or(from, |end| from.split_at(end).0);
    let mut address = run.trim_end_matches(['.', ',', ':', ';', '!', '?', '\'', '*', '_', '~']);
    // A bracket belongs to the sentence around it, unless it was opened in the address.
    if address.ends_with(')') && !address.contains('(') {
        address = address.trim_end_matches(')');
    }
    let (_, host) = address.split_once("://")?;
    if host.is_empty() {
        return None;
    }
    Some((before, address, from.split_at(address.len()).1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_text_needs_no_html() {
        for text in [
            "",
            "Hello",
            "two\nlines",
            "2 * 3 = 6",
            "a - b",
            "snake_case_name",
            "#tag",
            "R&D",
            "1. ",
        ] {
            assert!(
                to_html(text).is_none_or(|html| html.contains("<ol")),
                "{text}"
            );
        }
    }

    #[test]
    fn markup_becomes_html() {
        for (text, html) in [
            (
                "**a** *b* ~~c~~ `d<`",
                "<p><strong>a</strong> <em>b</em> <del>c</del> <code>d&lt;</code></p>",
            ),
            ("> q\n> r", "<blockquote><p>q<br>r</p></blockquote>"),
            ("- a\n- b", "<ul><li>a</li><li>b</li></ul>"),
            ("3. a\n4. b", "<ol start=\"3\"><li>a</li><li>b</li></ol>"),
            (
                "```rust\nlet a = \"b\";\n```",
                "<pre><code class=\"language-rust\">let a = &quot;b&quot;;\n</code></pre>",
            ),
            ("*a*\n# b", "<p><em>a</em></p><p>b</p>"),
        ] {
            assert_eq!(to_html(text).as_deref(), Some(html), "{text}");
        }
    }

    #[test]
    fn links_lead_where_they_may() {
        let link = |to: &str, text: &str| {
            format!(
                "<a href=\"{to}\" rel=\"nofollow noopener noreferrer\" target=\"_blank\">{text}</a>"
            )
        };
        let html = |text: &str| to_html(text).unwrap();
        assert_eq!(
            html("[a](https://b.org/?c=1&d)"),
            format!("<p>{}</p>", link("https://b.org/?c=1&amp;d", "a"))
        );
        assert_eq!(
            html("See https://b.org/a_b_c."),
            format!(
                "<p>See {}.</p>",
                link("https://b.org/a_b_c", "https://b.org/a_b_c")
            )
        );
        assert_eq!(
            html("http:// or http://b.org"),
            format!("<p>http:// or {}</p>", link("http://b.org", "http://b.org"))
        );
        assert_eq!(
            html("(http://b.org)"),
            format!("<p>({})</p>", link("http://b.org", "http://b.org"))
        );
        assert_eq!(
            html("![a](https://b.org/c.png)"),
            format!("<p>{}</p>", link("https://b.org/c.png", "a"))
        );
        assert_eq!(html("**[a](javascript:b)**"), "<p><strong>a</strong></p>");
        assert_eq!(to_html("[a](data:text/html,b)"), None);
    }

    #[test]
    fn what_would_grow_beyond_measure_stays_text() {
        let definition = format!("[a]: https://b.org/{}\n\n", "&".repeat(1_000));
        for text in [
            ">".repeat(10_000),
            "> ".repeat(5_000),
            format!("{definition}{}", "[a]".repeat(1_600)),
        ] {
            assert_eq!(to_html(&text), None);
        }
    }

    #[test]
    fn html_is_text() {
        let text = "*x* <script>alert(1)</script> <img src=x onerror=alert(1)>";
        let html = to_html(text).unwrap();
        assert!(
            !html.contains("<script") && !html.contains("<img"),
            "{html}"
        );
    }

    proptest! {
        #[test]
        fn nothing_but_known_elements_comes_out(text in "[*_~`>\\[\\]()<&\"'a-c:/\\n #!0-9.-]{0,80}|\\PC{0,40}") {
            let Some(html) = to_html(&text) else { return Ok(()) };
            let mut depth = 0;
            for piece in html.split('<').skip(1) {
                let (inside, _) = piece.split_once('>').expect("each element ends");
                let is_end = inside.starts_with('/');
                let name = inside.trim_start_matches('/').split(' ').next().unwrap();
                prop_assert!(
                    ["p", "br", "a", "em", "strong", "del", "code", "pre", "blockquote", "ul", "ol", "li"].contains(&name),
                    "{html}"
                );
                if name != "br" {
                    depth += if is_end { -1 } else { 1 };
                }
                prop_assert!(depth >= 0, "{html}");
            }
            prop_assert_eq!(depth, 0);
            prop_assert!(!html.contains("href=\"javascript") && !html.contains("href=\"data"));
        }
    }
}

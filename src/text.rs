//! Text as people write it: what may stand in a name, a post or an address, and what a text refers to. Pure.
//!
//! The parsers here turn what a client sent into text that is valid from then on: lower floors do not check again.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton;
use unicode_segmentation::UnicodeSegmentation;

use crate::error::FieldError;

/// Hashtags that one post may carry.
pub const MAX_HASHTAGS: usize = 30;
/// Characters in one hashtag.
pub const MAX_HASHTAG_CHARS: usize = 100;
/// People whom one text may mention; the rest stays plain text.
pub const MAX_MENTIONS: usize = 50;

/// Characters that show nothing, or reorder or hide the text around them, and so let one name pass for another: all that
/// Unicode says may be ignored in display, bidirectional controls, line separators, interlinear marks, the blank of
/// Braille.
fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}'
        | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
        | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFC}'
        | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}' | '\u{E0000}'..='\u{E0FFF}')
}

/// What joins or shapes letters and emoji (joiners, variation selectors, the tags of flags); it needs something visible
/// before it, else it only hides.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}' | '\u{FE00}'..='\u{FE0F}' | '\u{E0020}'..='\u{E007F}')
}

/// Whether a character of no width joins what stands beside it: in scripts that join, and in emoji. Beside a space or
/// ASCII it only hides.
fn is_joined(beside: Option<char>) -> bool {
    beside.is_some_and(|c| !c.is_whitespace() && !c.is_ascii() && !has_no_width(c))
}

/// The joiner and the non-joiner.
fn has_no_width(c: char) -> bool {
    matches!(c, '\u{200C}' | '\u{200D}')
}

/// Whether there is anything to see in a text.
pub fn is_visible(text: &str) -> bool {
    text.chars()
        .any(|c| !c.is_whitespace() && !c.is_control() && !is_deceptive(c))
}

/// Limits of one text field, in characters (Unicode scalar values).
struct Limits {
    min: usize,
    max: usize,
}

fn check_length(field: &'static str, text: &str, limits: &Limits) -> Result<(), FieldError> {
    let Limits { min, max } = *limits;
    // A text of far too many bytes is too long without counting it all.
    let chars = text.chars().take(max + 1).count();
    if chars < min {
        let message = if min == 1 {
            format!("{field} must not be empty.")
        } else {
            format!("{field} needs at least {min} characters.")
        };
        return Err(FieldError::new(
            field,
            if chars == 0 { "required" } else { "too_short" },
            message,
        ));
    }
    if chars > max {
        return Err(FieldError::new(
            field,
            "too_long",
            format!("{field} may have at most {max} characters."),
        ));
    }
    Ok(())
}

fn unusable(field: &'static str) -> FieldError {
    FieldError::new(
        field,
        "invalid_characters",
        format!("{field} holds characters that cannot be used here."),
    )
}

/// One line of visible text, trimmed: 1 to 50 characters.
pub fn display_name(field: &'static str, raw: &str) -> Result<String, FieldError> {
    let name = raw.trim();
    check_length(field, name, &Limits { min: 1, max: 50 })?;
    let (mut shows, mut before) = (false, None);
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        let is_fine = if has_no_width(c) {
            is_joined(before) && is_joined(chars.peek().copied())
        } else if is_joiner(c) {
            shows
        } else {
            !c.is_control() && !is_deceptive(c)
        };
        if !is_fine {
            return Err(unusable(field));
        }
        // A space ends what a joiner may join.
        shows = !c.is_whitespace();
        before = Some(c);
    }
    if !is_visible(name) {
        return Err(unusable(field));
    }
    Ok(name.nfc().collect())
}

/// 3 to 30 of letters, digits, `_`, `.`, `-`, in any script that Unicode identifiers allow. Stored as typed, in NFC.
pub fn username(field: &'static str, raw: &str) -> Result<String, FieldError> {
    let name: String = raw.nfc().take(64).collect();
    check_length(field, &name, &Limits { min: 3, max: 30 })?;
    let allowed = |c: char| {
        matches!(c, '_' | '.' | '-') || (unicode_ident::is_xid_continue(c) && !is_deceptive(c))
    };
    let mut chars = name.chars();
    let starts_well = chars
        .next()
        .is_some_and(|c| c == '_' || c.is_alphanumeric());
    if !starts_well || !name.chars().all(allowed) {
        return Err(FieldError::new(
            field,
            "invalid_characters",
            format!(
                "{field} may hold letters, digits, '_', '.' and '-', and starts with a letter, a digit or '_'."
            ),
        ));
    }
    Ok(name)
}

/// The form in which usernames are compared: `Ada` and `ADA` are one name.
pub fn username_key(username: &str) -> String {
    username
        .nfkc()
        .flat_map(char::to_lowercase)
        .nfkc()
        .collect()
}

/// What a username looks like (Unicode Technical Standard 39, section 4): two names with one skeleton are refused beside
/// each other, `аda` with a Cyrillic а beside `ada`, `Ian` beside `lan`.
pub fn username_skeleton(username: &str) -> String {
    let seen: String = skeleton(username).collect();
    let lowered: String = seen.to_lowercase();
    skeleton(&lowered).collect()
}

/// Case and compatibility folded, for prefix search.
pub fn search_key(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).collect()
}

/// The words of a name or username under which a person is found, at most fourteen, in a stable order.
pub fn search_terms(username: &str, name: &str) -> Vec<String> {
    let mut terms = BTreeSet::from([search_key(username)]);
    let name = search_key(name);
    terms.insert(name.clone());
    terms.extend(name.unicode_words().take(6).map(str::to_owned));
    terms.extend(
        search_key(username)
            .split(['_', '.', '-'])
            .take(6)
            .map(str::to_owned),
    );
    terms.into_iter().filter(|term| !term.is_empty()).collect()
}

/// An e-mail address: a dot-atom of ASCII before the `@` (RFC 5322 section 3.4.1), a host name with a dot after it, at
/// most 254 characters (RFC 5321 section 4.5.3.1). Stored as typed.
pub fn email(field: &'static str, raw: &str) -> Result<String, FieldError> {
    let invalid = || {
        FieldError::new(
            field,
            "invalid_email",
            format!("{field} is not an e-mail address."),
        )
    };
    let address = raw.trim();
    check_length(field, address, &Limits { min: 1, max: 254 })?;
    let (local, domain) = address.rsplit_once('@').ok_or_else(invalid)?;
    let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&b);
    let local_ok = local.len() <= 64
        && local
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(atom));
    let label_ok = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let domain_ok = domain.contains('.')
        && domain.split('.').all(label_ok)
        && domain
            .rsplit('.')
            .next()
            .is_some_and(|tld| tld.len() >= 2 && tld.bytes().any(|b| b.is_ascii_alphabetic()));
    if local_ok && domain_ok {
        Ok(address.to_owned())
    } else {
        Err(invalid())
    }
}

/// The form in which e-mail addresses are compared.
pub fn email_key(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Running text of `min` to `max` characters: no control characters but line breaks and tabs, line breaks as `\n`.
pub fn body(field: &'static str, raw: &str, min: usize, max: usize) -> Result<String, FieldError> {
    let text = raw.replace("\r\n", "\n");
    check_length(field, &text, &Limits { min, max })?;
    if text
        .chars()
        .any(|c| c.is_control() && c != '\n' && c != '\t')
    {
        return Err(unusable(field));
    }
    if min > 0 && !is_visible(&text) {
        return Err(FieldError::new(
            field,
            "required",
            format!("{field} must not be empty."),
        ));
    }
    Ok(text)
}

/// What another program wrote, as text that may be shown and put into a post: without control characters but line breaks
/// and tabs, without what hides or reorders the text around it, trimmed, and cut after `max` characters.
pub fn cleaned(raw: &str, max: usize) -> String {
    let shown = |c: &char| {
        matches!(c, '\n' | '\t') || is_joiner(*c) || (!c.is_control() && !is_deceptive(*c))
    };
    let text: String = raw.chars().filter(shown).collect();
    let cut: String = text.trim().chars().take(max).collect();
    cut.trim_end().to_owned()
}

/// A hashtag given beside a text, with or without `#`, in the form in which tags are compared.
pub fn hashtag(field: &'static str, raw: &str) -> Result<String, FieldError> {
    let limits = Limits {
        min: 1,
        max: MAX_HASHTAG_CHARS,
    };
    let tag = raw.trim();
    let tag = tag.strip_prefix('#').unwrap_or(tag);
    // Before it is folded, which takes its time with a long one; and after, since folding may add to it.
    check_length(field, tag, &limits)?;
    let tag = search_key(tag);
    check_length(field, &tag, &limits)?;
    if tag.chars().all(is_tag_char) {
        Ok(tag)
    } else {
        Err(FieldError::new(
            field,
            "invalid_characters",
            "A hashtag may hold letters, digits and '_'.",
        ))
    }
}

fn is_tag_char(c: char) -> bool {
    (unicode_ident::is_xid_continue(c) && !is_deceptive(c)) || c == '_'
}

fn is_username_char(c: char) -> bool {
    unicode_ident::is_xid_continue(c) || matches!(c, '_' | '.' | '-')
}

/// The `#tags` of a text, folded, without repeats, in the order of their first appearance. A tag of digits alone is a
/// number ("#1"), not a tag.
pub fn hashtags(text: &str) -> Vec<String> {
    let mut tags = Vec::new();
    for raw in references(text, '#', is_tag_char) {
        let tag = search_key(raw);
        let counts = tag.chars().any(|c| !c.is_numeric() && c != '_');
        if counts
            && tag.chars().count() <= MAX_HASHTAG_CHARS
            && !tags.contains(&tag)
            && tags.len() < MAX_HASHTAGS
        {
            tags.push(tag);
        }
    }
    tags
}

/// The [keys](username_key) of the `@names` of a text, without repeats, in the order of their first appearance. Whether
/// there is such a person is for the store to say. A full stop that ends a sentence is no part of a name.
pub fn mentions(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for raw in references(text, '@', is_username_char) {
        let key = username_key(raw.trim_end_matches(['.', '-']));
        if (3..=60).contains(&key.chars().count())
            && !names.contains(&key)
            && names.len() < MAX_MENTIONS
        {
            names.push(key);
        }
    }
    names
}

/// Whether a letter is of a script that puts no spaces between words (Chinese, Japanese, Thai, ...), or of Korean, which
/// glues particles to them: where a word ends there, no character tells.
pub fn is_unspaced(c: char) -> bool {
    if c < '\u{0E00}' {
        return false;
    }
    // Marks between words, digits, the sign of a currency.
    let is_letter = !matches!(
        c,
        '\u{30FB}' | '\u{30A0}' | '\u{0E3F}' | '\u{0E4F}'..='\u{0E5B}' | '\u{0ED0}'..='\u{0ED9}'
            | '\u{1040}'..='\u{104F}' | '\u{17D4}'..='\u{17DB}' | '\u{17E0}'..='\u{17F9}' | '\u{FF65}'
    );
    let is_of_script = matches!(
        c,
        // Thai and Lao, Burmese, Khmer
        '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'
        // Korean
        | '\u{1100}'..='\u{11FF}' | '\u{3130}'..='\u{318F}' | '\u{AC00}'..='\u{D7FF}'
        // Japanese and Chinese
        | '\u{3005}'..='\u{3007}' | '\u{3040}'..='\u{30FF}' | '\u{31F0}'..='\u{31FF}' | '\u{3400}'..='\u{4DBF}'
        | '\u{4E00}'..='\u{9FFF}' | '\u{F900}'..='\u{FAFF}' | '\u{FF66}'..='\u{FF9F}' | '\u{20000}'..='\u{3FFFF}'
    );
    is_of_script && is_letter
}

/// The runs of `part` characters that follow a `sigil` which does not itself follow a word: `a@b.org` mentions nobody.
fn references(text: &str, sigil: char, part: fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.match_indices(sigil).filter_map(move |(at, _)| {
        let (before, from) = text.split_at(at);
        let glued = before
            .chars()
            .next_back()
            .is_some_and(|c| part(c) || matches!(c, '/' | '&') || c == sigil);
        if glued {
            return None;
        }
        let rest = from.strip_prefix(sigil)?;
        let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
        rest.get(..end).filter(|run| !run.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usernames_of_any_script_and_no_tricks() {
        for good in [
            "ada",
            "Ada_L.1-2",
            "日本語",
            "мария",
            "अनिल",
            "a.b",
            "_x_",
            "١٢٣",
        ] {
            assert!(username("username", good).is_ok(), "{good}");
        }
        for bad in [
            "ab",
            "a b",
            "a\u{200B}bc",
            "a\u{202E}bc",
            "abc!",
            "",
            ".abc",
            "a\0bc",
            "a@b",
            &"x".repeat(31),
        ] {
            assert!(username("username", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_that_look_alike_share_a_skeleton() {
        for (a, b) in [
            ("alice", "аlice"),
            ("Ian", "lan"),
            ("paypal", "paypa1"),
            ("Ada", "ADA"),
        ] {
            assert_eq!(username_skeleton(a), username_skeleton(b), "{a} {b}");
        }
        assert_ne!(username_skeleton("alice"), username_skeleton("alicia"));
    }

    #[test]
    fn display_names_are_visible_and_hide_nothing() {
        for good in ["Ada Lovelace", "👨‍👩‍👧", "می‌خواهم", "O'Neill", "José"]
        {
            assert!(display_name("name", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "  ",
            "\u{FE0F}",
            "\u{2800}",
            "ada\u{E0041}\u{200B}",
            "a \u{E0061}",
            "\u{200D}",
            "a\u{202E}b",
            "a\u{0}b",
            "a\nb",
            "\u{3164}",
            "a \u{200C} b",
            "ad\u{200C}a",
            "می\u{200C} خ",
            "می\u{200C}",
            &"n".repeat(51),
        ] {
            assert!(display_name("name", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn email_addresses() {
        for good in [
            "a@b.co",
            "first.last+tag@sub.example.org",
            "o'neill@example.org",
            "A@EXAMPLE.COM",
        ] {
            assert!(email("email", good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a",
            "a@b",
            "@b.co",
            "a@",
            "a..b@c.de",
            ".a@b.co",
            "a@b..co",
            "a@-b.co",
            "a b@c.de",
            "ä@b.co",
            "a@b.c",
            "a@1.23",
            "a@b.co\r\nBcc: x@y.z",
        ] {
            assert!(email("email", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn hashtags_and_mentions_are_found_where_people_write_them() {
        assert_eq!(
            hashtags("#Rust and #rust, (#日本) #1 a#b &#39; ##x"),
            ["rust", "日本"]
        );
        assert_eq!(
            mentions("Hi @Ada. mail a@b.org, @bob-2! @ada @x"),
            ["ada", "bob-2"]
        );
    }

    #[test]
    fn what_a_program_wrote_is_cleaned() {
        for (raw, text) in [
            (" Hello,\r\nworld\t! ", "Hello,\nworld\t!"),
            ("a\0b\u{1b}[31mc\u{7f}\u{9b}", "ab[31mc"),
            ("a\u{202E}b\u{200B}c", "abc"),
            ("👨‍👩‍👧", "👨‍👩‍👧"),
            ("\u{2800}\u{FEFF}", ""),
            ("ab cd", "ab"),
        ] {
            assert_eq!(
                cleaned(raw, if raw == "ab cd" { 3 } else { 100 }),
                text,
                "{raw:?}"
            );
        }
    }

    #[test]
    fn bodies_keep_line_breaks_and_refuse_control_characters() {
        assert_eq!(body("content", "a\r\nb", 1, 10).unwrap(), "a\nb");
        for bad in ["", " \n ", "a\0b", "a\u{7}b"] {
            assert!(body("content", bad, 1, 10).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "\\PC*|[@#a-z. ]*") {
            let tags = hashtags(&text);
            prop_assert!(tags.len() <= MAX_HASHTAGS);
            prop_assert!(mentions(&text).len() <= MAX_MENTIONS);
            for tag in tags {
                prop_assert!(hashtag("hashtags", &tag).is_ok());
            }
            if let Ok(name) = username("username", &text) {
                prop_assert_eq!(username_key(&username_key(&name)), username_key(&name));
            }
        }
    }
}

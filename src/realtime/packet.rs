//! Packets of the Socket.IO protocol, revision 5 (and 4, which Socket.IO 2 speaks over Engine.IO 3): one text, and after
//! it as many binary messages as it announces.
//!
//! `<kind>[<attachments>-][<namespace>,][<ack id>][<JSON>]`

use std::borrow::Cow;

use bytes::Bytes;
use serde_json::value::RawValue;

/// The namespace that everybody is in unless they say otherwise.
pub(super) const MAIN: &str = "/";

/// Names that the protocol keeps for itself.
const RESERVED: &[&str] = &[
    "connect",
    "connect_error",
    "disconnect",
    "disconnecting",
    "newListener",
    "removeListener",
];

/// What a client sent that is no packet; the connection ends with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A packet from a client.
#[derive(Debug, PartialEq)]
pub(super) struct Packet<'a> {
    pub(super) namespace: &'a str,
    pub(super) content: Content<'a>,
    /// Binary messages that are still to come, and belong to it.
    pub(super) attachments: usize,
}

#[derive(Debug, PartialEq)]
pub(super) enum Content<'a> {
    /// With the JSON object that the client gives along, if any.
    Connect(Option<&'a str>),
    Disconnect,
    Event(Event),
    /// An answer to an event of ours. We ask for none.
    Ack,
}

/// Something that a client wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: String,
    /// What follows the name, each as JSON.
    pub(super) arguments: Vec<String>,
    pub(super) attachments: Vec<Bytes>,
    /// Under which number an answer is wanted.
    pub(super) ack: Option<u64>,
}

impl<'a> Packet<'a> {
    /// Reads the text of a packet.
    pub(super) fn decode(text: &'a str) -> Result<Self, Malformed> {
        let (kind, mut rest) = text.split_at_checked(1).ok_or(Malformed)?;
        let mut attachments = 0;
        if matches!(kind, "5" | "6") {
            let (count, after) = rest.split_once('-').ok_or(Malformed)?;
            attachments = number(count).ok_or(Malformed)?;
            rest = after;
        }
        let mut namespace = MAIN;
        if rest.starts_with('/') {
            // A packet may end with its namespace.
            (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
            // Clients of old may send a query behind it.
            namespace = namespace.split('?').next().unwrap_or(namespace);
        }
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (ack, json) = rest.split_at(digits);
        let ack = match ack {
            "" => None,
            ack => Some(number(ack).ok_or(Malformed)?),
        };
        let content = match kind {
            "0" if json.is_empty() => Content::Connect(None),
            "0" if json.starts_with('{') && is_json(json) => Content::Connect(Some(json)),
            "1" if json.is_empty() => Content::Disconnect,
            "2" | "5" => Content::Event(Event::parse(json, ack)?),
            "3" | "6" if ack.is_some() && json.starts_with('[') && is_json(json) => Content::Ack,
            _ => return Err(Malformed),
        };
        Ok(Self {
            namespace,
            content,
            attachments: usize::try_from(attachments).map_err(|_too_many| Malformed)?,
        })
    }
}

impl Event {
    fn parse(json: &str, ack: Option<u64>) -> Result<Self, Malformed> {
        let parts: Vec<&RawValue> = serde_json::from_str(json).map_err(|_no_list| Malformed)?;
        let (name, arguments) = parts.split_first().ok_or(Malformed)?;
        let name: Cow<'_, str> = serde_json::from_str(name.get()).map_err(|_no_name| Malformed)?;
        if RESERVED.contains(&&*name) {
            return Err(Malformed);
        }
        Ok(Self {
            name: name.into_owned(),
            arguments: arguments.iter().map(|one| one.get().to_owned()).collect(),
            attachments: Vec::new(),
            ack,
        })
    }
}

/// `0`: connected, under this id. Revision 4 has none.
pub(super) fn connected(namespace: &str, sid: Option<&str>) -> String {
    match sid {
        Some(sid) => format!(r#"0{}{{"sid":"{sid}"}}"#, prefix(namespace)),
        None => format!("0{}", bare(namespace)),
    }
}

/// `1`: no longer connected.
pub(super) fn disconnected(namespace: &str) -> String {
    format!("1{}", prefix(namespace))
}

/// `4`: not connected, because of this (JSON).
pub(super) fn refused(namespace: &str, json: &str) -> String {
    format!("4{}{json}", prefix(namespace))
}

/// `2` or `5`: an event; `arguments` is JSON, without the brackets.
pub(super) fn event(namespace: &str, name: &str, arguments: &str, attachments: usize) -> String {
    let name = serde_json::Value::from(name);
    let comma = if arguments.is_empty() { "" } else { "," };
    let kind = kind(attachments, "2", "5");
    format!("{kind}{}[{name}{comma}{arguments}]", prefix(namespace))
}

/// `3` or `6`: the answer to an event; `arguments` is JSON, without the brackets.
pub(super) fn ack(namespace: &str, id: u64, arguments: &str, attachments: usize) -> String {
    let kind = kind(attachments, "3", "6");
    format!("{kind}{}{id}[{arguments}]", prefix(namespace))
}

fn kind(attachments: usize, text: &str, binary: &str) -> String {
    match attachments {
        0 => text.to_owned(),
        count => format!("{binary}{count}-"),
    }
}

fn prefix(namespace: &str) -> String {
    match namespace {
        MAIN => String::new(),
        other => format!("{other},"),
    }
}

fn bare(namespace: &str) -> &str {
    if namespace == MAIN { "" } else { namespace }
}

/// A number as the protocol writes it: nothing but digits, and not too many.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(text: &str) -> (&str, Content<'_>, usize) {
        let packet = Packet::decode(text).unwrap();
        (packet.namespace, packet.content, packet.attachments)
    }

    #[test]
    fn packets_are_read_as_the_protocol_has_them() {
        assert_eq!(content("0"), ("/", Content::Connect(None), 0));
        let auth = Content::Connect(Some(r#"{"token":"x"}"#));
        assert_eq!(content(r#"0/admin,{"token":"x"}"#), ("/admin", auth, 0));
        assert_eq!(content("0/admin"), ("/admin", Content::Connect(None), 0));
        assert_eq!(
            content("0/admin?a=b,"),
            ("/admin", Content::Connect(None), 0)
        );
        assert_eq!(content("1/admin,"), ("/admin", Content::Disconnect, 0));
        let event = Event {
            name: "say".to_owned(),
            arguments: vec!["1".to_owned(), r#"{"a":[true]}"#.to_owned()],
            attachments: Vec::new(),
            ack: Some(12),
        };
        assert_eq!(
            content(r#"2/admin,12["say",1,{"a":[true]}]"#),
            ("/admin", Content::Event(event.clone()), 0)
        );
        assert_eq!(
            content(r#"53-12["say",1,{"a":[true]}]"#),
            ("/", Content::Event(event), 3)
        );
        assert_eq!(content("312[]"), ("/", Content::Ack, 0));
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        for text in [
            "",
            "abc",
            "9",
            "2",
            "2{}",
            "2[]",
            "2[1]",
            r#"2["connect"]"#,
            r#"2abc["say"]"#,
            "0[]",
            "1{}",
            "5[]",
            r#"5x-["say"]"#,
            "3[]",
            r#"4{"message":"no"}"#,
            r#"2["say""#,
            r#"299999999999999999999["say"]"#,
            "é",
        ] {
            assert_eq!(Packet::decode(text).err(), Some(Malformed), "{text}");
        }
    }

    #[test]
    fn packets_are_written_as_the_protocol_has_them() {
        assert_eq!(connected("/", Some("abc")), r#"0{"sid":"abc"}"#);
        assert_eq!(connected("/chat", Some("abc")), r#"0/chat,{"sid":"abc"}"#);
        assert_eq!(connected("/", None), "0");
        assert_eq!(disconnected("/chat"), "1/chat,");
        assert_eq!(event("/", "a\"b", "1,2", 0), r#"2["a\"b",1,2]"#);
        assert_eq!(event("/chat", "say", "", 2), r#"52-/chat,["say"]"#);
        assert_eq!(ack("/", 7, r#"{"ok":true}"#, 0), r#"37[{"ok":true}]"#);
    }

    proptest! {
        #[test]
        fn no_text_makes_decode_panic(text in "[0-9/,?a-c\\[\\]{}\"-]{0,24}|\\PC*") {
            Packet::decode(&text).ok();
        }
    }
}

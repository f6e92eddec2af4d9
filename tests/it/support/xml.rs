//! XML documents as trees, read strictly.

use std::collections::BTreeMap;

use quick_xml::XmlVersion;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// An element.
#[derive(Debug, Default)]
pub(crate) struct Element {
    /// As written, with its prefix.
    pub(crate) name: String,
    pub(crate) attributes: BTreeMap<String, String>,
    /// What stands in it beside its elements.
    pub(crate) text: String,
    pub(crate) elements: Vec<Self>,
}

impl Element {
    /// The root of a document, which must be well-formed.
    #[track_caller]
    pub(crate) fn parse(document: &str) -> Self {
        assert!(
            document.starts_with(r#"<?xml version="1.0" encoding="utf-8"?>"#),
            "{document}"
        );
        let mut reader = Reader::from_str(document);
        reader.config_mut().check_comments = true;
        let mut open = vec![Self::default()];
        loop {
            let event = reader.read_event().unwrap();
            let top = open.last_mut().unwrap();
            match event {
                Event::Start(tag) => open.push(Self::begun(&tag)),
                Event::Empty(tag) => top.elements.push(Self::begun(&tag)),
                Event::End(_) => {
                    let closed = open.pop().unwrap();
                    open.last_mut().unwrap().elements.push(closed);
                }
                Event::Text(text) => top.text.push_str(&text.xml10_content().unwrap()),
                Event::GeneralRef(name) => match name.resolve_char_ref().unwrap() {
                    Some(c) => top.text.push(c),
                    None => top
                        .text
                        .push_str(resolve_xml_entity(&name.decode().unwrap()).unwrap()),
                },
                Event::Decl(_) => {}
                Event::Eof => break,
                other => panic!("not expected: {other:?}"),
            }
        }
        let [outside] = <[Self; 1]>::try_from(open).expect("all is closed");
        assert_eq!(outside.text, "");
        let [root] = <[Self; 1]>::try_from(outside.elements).expect("one root");
        root
    }

    fn begun(tag: &BytesStart<'_>) -> Self {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let attributes = tag.attributes().map(|attribute| {
            let attribute = attribute.unwrap();
            let value = attribute.normalized_value(XmlVersion::Explicit1_0).unwrap();
            (text(attribute.key.as_ref()), value.into_owned())
        });
        Self {
            name: text(tag.name().as_ref()),
            attributes: attributes.collect(),
            ..Self::default()
        }
    }

    /// The elements of this name.
    pub(crate) fn all(&self, name: &str) -> Vec<&Self> {
        let found = self.elements.iter().filter(|one| one.name == name);
        found.collect()
    }

    /// The one element of this name.
    #[track_caller]
    pub(crate) fn one(&self, name: &str) -> &Self {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in {}", self.name);
        all[0]
    }

    /// The text of the one element of this name.
    #[track_caller]
    pub(crate) fn text_of(&self, name: &str) -> &str {
        &self.one(name).text
    }
}

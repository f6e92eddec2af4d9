//! One definition of each configuration key: its type, default and documentation feed the struct, the check for
//! unknown keys, the environment names and the printed reference.

/// One key, for the reference and for suggestions.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The name in the file.
    pub name: &'static str,
    /// What it is for, in one or more sentences.
    pub doc: &'static str,
}

macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $section:ident { $( $(#[doc = $doc:literal])+ $key:ident: $kind:ty = $default:expr; )+ }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $section { $( $(#[doc = $doc])+ pub $key: $kind, )+ }

        impl Default for $section {
            fn default() -> Self {
                Self { $( $key: $default, )+ }
            }
        }

        impl $section {
            /// The keys in the order of their declaration.
            pub const KEYS: &'static [$crate::config::section::Key] = &[
                $( $crate::config::section::Key { name: stringify!($key), doc: concat!($( $doc ),+).trim_ascii() }, )+
            ];
        }
    };
}

pub(super) use section;

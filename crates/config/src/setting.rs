//! What a setting is, and the macro that declares a section of settings.
//!
//! A setting is written once: name, type, kind, default, bounds, unit, meaning, and whether a
//! reload applies it. Everything else comes from there: the struct with its defaults, the
//! environment variables, the bounds check, the response of `GET /api/v1/limits`, the reload and
//! the tables of `docs/configuration.md`.

use std::borrow::Cow;

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Path in the file: `listen`, `limits.connections_max`, `source.name`.
    pub path: &'static str,
    pub kind: Kind,
    pub reload: Reload,
    /// Meaning, in the Markdown of `docs/configuration.md`; without the upper bound.
    pub doc: &'static str,
}

/// Form of a setting's value.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Flag,
    /// Any value that is written as a string: addresses, paths, choices, names.
    Text,
    Number(Number),
    /// A table or list, or a value inside of `[[source]]` or `[[witness]]`. It has no environment
    /// variable.
    Structure,
}

/// Unit and bounds of a number.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    /// Unit of the count: `bytes`, `seconds`, `events`, …
    pub unit: &'static str,
    pub min: u64,
    pub max: Option<Max>,
}

/// Upper bound of a number.
#[derive(Debug, Clone, Copy)]
pub struct Max {
    pub value: u64,
    /// Why no greater value works, after "the most that".
    pub reason: &'static str,
}

/// Whether a reload applies a setting to a running server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    Yes,
    /// Only the next start does.
    No,
    /// Only if TLS was on before and stays on: an open port cannot change its protocol.
    IfTlsStays,
    /// Only the files of certificates, keys and authorities.
    Certificates,
}

impl Number {
    /// A number that may be anything but 0.
    pub(crate) const fn positive(unit: &'static str) -> Kind {
        Kind::Number(Number { unit, min: 1, max: None })
    }

    /// A number that may be anything but 0, up to this.
    pub(crate) const fn up_to(max: Max, unit: &'static str) -> Kind {
        Kind::Number(Number { unit, min: 1, max: Some(max) })
    }

    /// A number that may be 0.
    pub(crate) const fn any(unit: &'static str) -> Kind {
        Kind::Number(Number { unit, min: 0, max: None })
    }

    /// A number that may be 0, up to this.
    pub(crate) const fn any_up_to(max: Max, unit: &'static str) -> Kind {
        Kind::Number(Number { unit, min: 0, max: Some(max) })
    }

    /// Errs with the bound that the value exceeds.
    pub(crate) fn check(&self, value: u64) -> Result<(), String> {
        if value < self.min {
            return Err(format!("{value} would refuse everything"));
        }
        match self.max {
            Some(max) if value > max.value => {
                Err(format!("{value} is above {}, the most that {}", max.value, max.reason))
            }
            _ => Ok(()),
        }
    }
}

impl Setting {
    /// A setting with structure, or inside of one.
    pub(crate) const fn structure(
        path: &'static str,
        reload: Reload,
        doc: &'static str,
    ) -> Setting {
        Setting { path, kind: Kind::Structure, reload, doc }
    }

    /// Environment variable of the setting.
    pub fn variable(&self) -> Option<String> {
        match self.kind {
            Kind::Structure => None,
            _ => Some(format!("DAYBOOK_{}", self.path.replace('.', "_").to_uppercase())),
        }
    }

    /// Meaning with the upper bound, in Markdown.
    pub fn meaning(&self) -> Cow<'static, str> {
        match self.kind {
            Kind::Number(Number { max: Some(max), .. }) => {
                format!("{} At most {}.", self.doc, max.value).into()
            }
            _ => self.doc.into(),
        }
    }
}

/// Text of Markdown, without back-ticks and link targets.
pub(crate) fn plain(markdown: &str) -> String {
    let mut pieces = markdown.split("](");
    let first = pieces.next().unwrap_or_default().to_owned();
    let rest = pieces.map(|piece| piece.split_once(')').map_or(piece, |(_, after)| after));
    (first + &rest.collect::<String>()).replace(['`', '['], "")
}

/// Declares a section of the file: `field: type = default, kind, reload, meaning;` for each
/// setting. Makes the struct, its defaults, and its rows of the table as `SETTINGS`. Fields after
/// `with` have rows of their own elsewhere.
macro_rules! settings {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident in $section:literal {
            $($(#[$attribute:meta])*
            $field:ident: $type:ty = $default:expr, $kind:expr, $reload:ident, $doc:literal;)*
        }
        $(with { $($part:ident: $part_type:ty,)* })?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, serde::Deserialize, serde::Serialize)]
        #[serde(deny_unknown_fields, default)]
        $vis struct $name {
            $($(#[$attribute])* #[doc = $doc] pub $field: $type,)*
            $($(pub $part: $part_type,)*)?
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default,)* $($($part: Default::default(),)*)? }
            }
        }

        impl $name {
            pub(crate) const SETTINGS: &[$crate::setting::Setting] = &[$(
                $crate::setting::Setting {
                    path: concat!($section, stringify!($field)),
                    kind: $kind,
                    reload: $crate::setting::Reload::$reload,
                    doc: $doc,
                },
            )*];
        }
    };
}

pub(crate) use settings;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_plain_text() {
        for (markdown, text) in [
            ("Beyond, `503`.", "Beyond, 503."),
            ("it is [late](api/tlog.md#witnesses), which", "it is late, which"),
            ("[`a`](b) and [c](d)", "a and c"),
            ("", ""),
        ] {
            assert_eq!(plain(markdown), text);
        }
    }

    #[test]
    fn a_number_has_bounds() {
        let number = Number {
            unit: "bytes",
            min: 1,
            max: Some(Max { value: 9, reason: "the format holds" }),
        };
        assert_eq!(number.check(0), Err("0 would refuse everything".to_owned()));
        assert_eq!((number.check(1), number.check(9)), (Ok(()), Ok(())));
        assert_eq!(
            number.check(10),
            Err("10 is above 9, the most that the format holds".to_owned())
        );
    }
}

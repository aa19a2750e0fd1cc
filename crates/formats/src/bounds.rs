//! Bounds on the texts of an event, so that no record is too large to be one.
//!
//! A client chooses how long its user agent, a path or a statement is. Long texts are cut and
//! marked; the original keeps them whole. What was cut is named by attributes: `truncated` is
//! `true`, and `truncated.NAME` has the bytes of the whole text and its SHA-256.

use sha2::{Digest as _, Sha256};

use event::Event;

/// Most bytes of all texts of an event.
pub const TEXTS_BYTES_MAX: usize = 512 << 10;
/// Most bytes of a text: the first of these with which all of an event's texts fit.
const TEXT_BYTES_MAX: [usize; 4] = [256 << 10, 32 << 10, 4 << 10, 512];
/// Most bytes of the names of an event's attributes.
const NAMES_BYTES_MAX: usize = 64 << 10;
/// Most bytes of an attribute's name.
const NAME_BYTES_MAX: usize = 1 << 10;
/// Most bytes of the key by which a source names an event; a longer one is replaced by its hash.
const KEY_BYTES_MAX: usize = 4 << 10;
/// Most attributes; each that is cut has a second one.
const ATTRIBUTES_MAX: usize = 512;

/// Cuts the texts of an event that are too long.
pub(crate) fn bound(event: &mut Event) {
    let attributes: usize =
        event.attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    let sum = attributes + members(event).iter().map(|(_, text)| text.len()).sum::<usize>();
    let key = event.origin.key.as_ref().map_or(0, String::len);
    if sum.max(key) > KEY_BYTES_MAX {
        bound_large(event);
    }
}

fn bound_large(event: &mut Event) {
    if let Some(key) = &mut event.origin.key
        && key.len() > KEY_BYTES_MAX
    {
        *key = format!("sha256:{}", hex::encode(Sha256::digest(&*key)));
    }
    let mut cuts = drop_attributes(event);
    let mut lens: Vec<usize> = event.attributes.values().map(String::len).collect();
    lens.extend(members(event).into_iter().map(|(_, text)| text.len()));
    let fits = |max: &&usize| lens.iter().map(|len| len.min(max)).sum::<usize>() <= TEXTS_BYTES_MAX;
    let last = &TEXT_BYTES_MAX[TEXT_BYTES_MAX.len() - 1];
    let text_bytes_max = *TEXT_BYTES_MAX.iter().find(fits).unwrap_or(last);
    let mut cut_text = |name: &str, text: &mut String| {
        if text.len() > text_bytes_max {
            let sha256 = hex::encode(Sha256::digest(&*text));
            cuts.push((name.to_owned(), format!("{} bytes, sha256 {sha256}", text.len())));
            text.truncate(text.floor_char_boundary(text_bytes_max));
        }
    };
    members(event).into_iter().for_each(|(name, text)| cut_text(name, text));
    event.attributes.iter_mut().for_each(|(name, text)| cut_text(name, text));
    if !cuts.is_empty() {
        event.attributes.insert("truncated".to_owned(), "true".to_owned());
        let named = cuts.into_iter().map(|(name, cut)| (format!("truncated.{name}"), cut));
        event.attributes.extend(named);
    }
}

/// Leaves out attributes that are too many, and those whose names are too long.
fn drop_attributes(event: &mut Event) -> Vec<(String, String)> {
    let (mut names_bytes, mut retained, before) = (0, 0, event.attributes.len());
    event.attributes.retain(|name, _| {
        let is_retained = name.len() <= NAME_BYTES_MAX
            && names_bytes + name.len() <= NAMES_BYTES_MAX
            && retained < ATTRIBUTES_MAX;
        names_bytes += if is_retained { name.len() } else { 0 };
        retained += usize::from(is_retained);
        is_retained
    });
    match before - event.attributes.len() {
        0 => Vec::new(),
        dropped => vec![("attributes".to_owned(), format!("{dropped} left out"))],
    }
}

/// The texts of an event beside its attributes, with their names.
fn members(event: &mut Event) -> Vec<(&'static str, &mut String)> {
    [
        ("actor.id", event.actor.id.as_mut()),
        ("actor.name", event.actor.name.as_mut()),
        ("user_agent", event.user_agent.as_mut()),
        ("action", Some(&mut event.action)),
        ("resource.type", event.resource.kind.as_mut()),
        ("resource.name", event.resource.name.as_mut()),
        ("resource.id", event.resource.id.as_mut()),
        ("resource.region", event.resource.region.as_mut()),
        ("reason", event.outcome.reason.as_mut()),
        ("description", event.description.as_mut()),
        ("request_id", event.request_id.as_mut()),
        ("trace_id", event.trace_id.as_mut()),
    ]
    .into_iter()
    .filter_map(|(name, text)| Some((name, text?)))
    .collect()
}

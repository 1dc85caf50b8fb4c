//! What STS answers to `GetCallerIdentity`.
//!
//! The rule: only the document of that very operation, in its namespace, is believed: one root element, one result, each member once. A document
//! type, an entity of its own or anything after the root makes it invalid, and nothing is looked for in text of another kind.

use quick_xml::events::{BytesRef, Event};
use quick_xml::name::{Namespace, ResolveResult};
use quick_xml::reader::NsReader;

use super::sts::Answer;

/// The namespace of STS's answers.
const NAMESPACE: Namespace<'static> = Namespace(b"https://sts.amazonaws.com/doc/2011-06-15/");
/// Deeper than any answer.
const DEEPEST: usize = 8;
/// The most of an error's text that a client is shown.
const SHOWN: usize = 1_024;

/// Who signed the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) arn: String,
    pub(super) user_id: String,
    pub(super) account: String,
}

impl Identity {
    /// The unique id of user or role: without the session's name.
    pub(super) fn unique_id(&self) -> &str {
        self.user_id.split(':').next().unwrap_or_default()
    }
}

const INVALID: &str = "body of GetCallerIdentity is invalid";
const UNREADABLE: &str = "error parsing STS response";

/// Who it was, or what Vault says of such an answer.
pub(super) fn identity(answer: &Answer) -> Result<Identity, String> {
    let body = std::str::from_utf8(&answer.body).map_err(|_| INVALID.to_owned())?.trim();
    if !is_xml(answer.content_type.as_deref().unwrap_or_default()) {
        return Err(INVALID.to_owned());
    }
    if answer.status != 200 {
        return Err(format!("received error code {} from STS: {}", answer.status, shown(body)));
    }
    if !body.starts_with("<GetCallerIdentityResponse") && !body.starts_with("<?xml") {
        return Err(INVALID.to_owned());
    }
    parse(body).ok_or_else(|| UNREADABLE.to_owned())
}

/// `text/xml`, which may name the one encoding that is read.
fn is_xml(content_type: &str) -> bool {
    let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    let encoding = parameters.trim().to_ascii_lowercase().replace('"', "");
    kind.trim() == "text/xml" && matches!(encoding.as_str(), "" | "charset=utf-8")
}

/// An error's text for the client: short, in one line.
fn shown(body: &str) -> String {
    let line: String = body.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN).collect();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn parse(body: &str) -> Option<Identity> {
    let mut reader = NsReader::from_str(body);
    reader.config_mut().expand_empty_elements = true;
    let mut open: Vec<String> = Vec::new();
    let mut text = String::new();
    let (mut arn, mut user_id, mut account) = (None, None, None);
    let (mut roots, mut results) = (0, 0);
    loop {
        match reader.read_resolved_event().ok()? {
            (resolved, Event::Start(start)) => {
                if open.len() >= DEEPEST || resolved != ResolveResult::Bound(NAMESPACE) {
                    return None;
                }
                let name = std::str::from_utf8(start.local_name().into_inner()).ok()?.to_owned();
                match open.len() {
                    0 if name == "GetCallerIdentityResponse" => roots += 1,
                    0 => return None,
                    1 if name == "GetCallerIdentityResult" => results += 1,
                    // A member holds no element.
                    3.. if place(&open).is_some() => return None,
                    _ => {}
                }
                text.clear();
                open.push(name);
            }
            (_, Event::End(_)) => {
                let member = match place(&open) {
                    Some("Arn") => Some(&mut arn),
                    Some("UserId") => Some(&mut user_id),
                    Some("Account") => Some(&mut account),
                    _ => None,
                };
                if let Some(member) = member
                    && (text.trim().is_empty() || member.replace(text.trim().to_owned()).is_some())
                {
                    return None;
                }
                text.clear();
                open.pop()?;
            }
            (_, Event::Text(more)) => text.push_str(&more.xml10_content().ok()?),
            (_, Event::CData(more)) => text.push_str(&more.xml10_content().ok()?),
            (_, Event::GeneralRef(reference)) => text.push(character(&reference)?),
            (_, Event::Decl(_)) if roots == 0 => {}
            (_, Event::Comment(_)) => {}
            (_, Event::Eof) => break,
            // A document type could define entities; a processing instruction means nothing here.
            (_, Event::Decl(_) | Event::DocType(_) | Event::PI(_) | Event::Empty(_)) => return None,
        }
        if open.is_empty() && !text.trim().is_empty() {
            return None;
        }
    }
    if roots != 1 || results != 1 || !open.is_empty() {
        return None;
    }
    Some(Identity { arn: arn?, user_id: user_id?, account: account? })
}

/// The member of the result that is open, if one is.
fn place(open: &[String]) -> Option<&str> {
    match open {
        [_, result, member, ..] if result == "GetCallerIdentityResult" => Some(member),
        _ => None,
    }
}

/// The character that a reference stands for: one of those that every document knows.
fn character(reference: &BytesRef<'_>) -> Option<char> {
    if let Some(character) = reference.resolve_char_ref().ok()? {
        return Some(character);
    }
    Some(match reference.decode().ok()?.as_ref() {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

#[cfg(test)]
mod tests;

//! Formats JSON values for people to read in a reason.

use signoff_core::deceptive::is_deceptive;

use super::value::Node;
use crate::text::cut;

/// Appends a value to `out`, a string without its quotes, until `out` holds `bytes_max` bytes or
/// slightly more. Characters that could deceive a reader (control characters, invisible ones, and
/// ones that change the writing direction) are escaped.
pub fn show(node: &Node<'_>, out: &mut String, bytes_max: usize) {
    match node {
        Node::Text(text) => plain(text.inner(), out, bytes_max),
        other => nested(other, out, bytes_max),
    }
}

/// Appends a text until `out` holds `bytes_max` bytes or slightly more, escaping characters that
/// could deceive a reader.
pub fn plain(text: &str, out: &mut String, bytes_max: usize) {
    let mut rest = text;
    while out.len() < bytes_max {
        let length = rest.find(is_deceptive).unwrap_or(rest.len());
        let (clear, odd) = rest.split_at(length);
        // One character more than fits, so that the caller that cuts sees that there is more.
        out.push_str(cut(clear, bytes_max - out.len() + 4));
        let mut chars = odd.chars();
        match chars.next() {
            None => return,
            Some('\n') => out.push_str("\\n"),
            Some('\r') => out.push_str("\\r"),
            Some('\t') => out.push_str("\\t"),
            Some(char) => out.extend(char.escape_unicode()),
        }
        rest = chars.as_str();
    }
}

fn nested(node: &Node<'_>, out: &mut String, bytes_max: usize) {
    if out.len() >= bytes_max {
        return;
    }
    match node {
        Node::Null(_) => out.push_str("null"),
        Node::Bool(bool) => out.push_str(if *bool.inner() { "true" } else { "false" }),
        Node::Int(int) => out.push_str(&int.inner().to_string()),
        Node::Big(big) => out.push_str(&big.0),
        Node::Double(double) => out.push_str(double.text),
        Node::Text(text) => quoted(text.inner(), out, bytes_max),
        Node::List(list) => {
            out.push('[');
            for (at, item) in list.0.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                if out.len() >= bytes_max {
                    return;
                }
                nested(item, out, bytes_max);
            }
            out.push(']');
        }
        Node::Object(object) => {
            out.push('{');
            for (at, (key, value)) in object.0.iter().enumerate() {
                if at > 0 {
                    out.push_str(", ");
                }
                if out.len() >= bytes_max {
                    return;
                }
                quoted(key.inner(), out, bytes_max);
                out.push_str(": ");
                nested(value, out, bytes_max);
            }
            out.push('}');
        }
    }
}

fn quoted(text: &str, out: &mut String, bytes_max: usize) {
    out.push('"');
    for (at, piece) in text.split('"').enumerate() {
        if at > 0 {
            out.push_str("\\\"");
        }
        plain(piece, out, bytes_max);
    }
    out.push('"');
}

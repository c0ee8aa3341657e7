//! The two formats of `/metrics`: which one a client gets, and the text format made of the other.
//!
//! The library writes OpenMetrics 1.0. Many clients read only the older text format, version 0.0.4:
//! there, a counter's metadata has the name of its samples, with `_total`, and so has an info with
//! `_info`, which is a gauge; units and the end mark are absent.

use axum::http::{HeaderMap, header};

/// A format of `/metrics`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exposition {
    /// Prometheus' text format 0.0.4, the default.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Exposition {
    /// Returns the format that a client asks for in `Accept`. A client that accepts both equally, or
    /// neither, gets the text format.
    pub(crate) fn accepted(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let ranges: Vec<Range<'_>> =
            values.flat_map(|value| value.split(',')).filter_map(Range::read).collect();
        let quality = |this: Self| {
            let matching = ranges.iter().filter(|range| range.precedence(this).is_some());
            // The most precise range decides; of several, the one with the highest quality.
            let best = matching.max_by_key(|range| (range.precedence(this), range.quality));
            best.map_or(0, |range| range.quality)
        };
        if quality(Self::OpenMetrics) > quality(Self::Text) {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// Returns the media type.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    fn type_and_versions(self) -> (&'static str, &'static str, &'static [&'static str]) {
        match self {
            Self::Text => ("text", "plain", &["0.0.4"]),
            Self::OpenMetrics => ("application", "openmetrics-text", &["0.0.1", "1.0.0"]),
        }
    }
}

/// One media range of `Accept` (RFC 9110, section 12.5.1).
pub(crate) struct Range<'a> {
    kind: &'a str,
    subkind: &'a str,
    version: Option<&'a str>,
    /// In thousandths.
    pub(crate) quality: u32,
}

impl<'a> Range<'a> {
    /// Reads a range; `None` for a malformed one.
    pub(crate) fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subkind) = parts.next()?.split_once('/')?;
        let mut range = Self { kind, subkind, version: None, quality: 1_000 };
        for parameter in parts {
            let (name, value) = parameter.split_once('=')?;
            let value = value.trim().trim_matches('"');
            if name.trim().eq_ignore_ascii_case("q") {
                let quality: f32 = value.parse().ok()?;
                if !(0.0..=1.0).contains(&quality) {
                    return None;
                }
                // Between 0 and 1,000.
                range.quality = thousandths(quality);
            } else if name.trim().eq_ignore_ascii_case("version") {
                range.version = Some(value);
            }
        }
        Some(range)
    }

    /// Returns whether it names a media type, not by a wildcard.
    pub(crate) fn names(&self, kind: &str, subkind: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind) && self.subkind.eq_ignore_ascii_case(subkind)
    }

    /// Returns how precisely it names a format; `None` if it does not include it.
    fn precedence(&self, format: Exposition) -> Option<u8> {
        let (kind, subkind, versions) = format.type_and_versions();
        let is_kind = self.kind.eq_ignore_ascii_case(kind);
        match (self.kind, self.subkind, self.version) {
            ("*", "*", _) => Some(0),
            (_, "*", _) if is_kind => Some(1),
            (_, sub, None) if is_kind && sub.eq_ignore_ascii_case(subkind) => Some(2),
            (_, sub, Some(version)) if is_kind && sub.eq_ignore_ascii_case(subkind) => {
                versions.contains(&version).then_some(3)
            }
            _ => None,
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a quality from 0 to 1 gives 0 to 1,000"
)]
fn thousandths(quality: f32) -> u32 {
    (quality * 1_000.0).round() as u32
}

/// Returns an OpenMetrics text in the text format 0.0.4.
pub(super) fn to_text_format(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = "";
    for line in openmetrics.lines() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            // Written with the type, which follows and decides the name.
            help = described.split_once(' ').map_or("", |(_, help)| help);
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            let (name, kind) = typed.split_once(' ').unwrap_or((typed, "untyped"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            text.push_str(&format!("# HELP {name}{suffix} {}\n", unquoted(help)));
            text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// Returns a help text without the escapes of quotation marks, which only OpenMetrics has.
fn unquoted(help: &str) -> String {
    help.replace("\\\"", "\"")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use axum::http::HeaderValue;

    use super::Exposition::{OpenMetrics, Text};
    use super::*;

    fn accepted(values: &[&str]) -> Exposition {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::ACCEPT, HeaderValue::from_str(value).unwrap());
        }
        Exposition::accepted(&headers)
    }

    #[test]
    fn a_client_gets_the_format_that_it_prefers_and_the_text_format_otherwise() {
        // Prometheus 2.42 and 3.0 as they ask.
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let prometheus_3 = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        for (values, format) in [
            (&[][..], Text),
            (&["*/*"], Text),
            (&["text/plain; version=0.0.4"], Text),
            (&["text/plain;version=0.0.4;q=1,*/*;q=0.1"], Text),
            (&[prometheus_2], OpenMetrics),
            (&[prometheus_3], OpenMetrics),
            (&["application/openmetrics-text"], OpenMetrics),
            (&["Application/OpenMetrics-Text; Version=\"1.0.0\""], OpenMetrics),
            (&["application/openmetrics-text; version=2.0.0"], Text),
            (&["application/openmetrics-text; q=0, */*"], Text),
            (&["application/openmetrics-text;q=0.4, text/plain;q=0.5"], Text),
            (&["application/openmetrics-text;q=0.5, text/plain;q=0.4"], OpenMetrics),
            (&["text/plain;q=0.4", "application/openmetrics-text;q=0.5"], OpenMetrics),
            (&["application/openmetrics-text, text/plain"], Text),
            (&["application/*, text/*;q=0.9"], OpenMetrics),
            (&["text/*"], Text),
            (&["text/plain;q=0, */*"], OpenMetrics),
            (&["application/json"], Text),
            // A malformed range counts as absent.
            (&["application/openmetrics-text;q=2, text/plain;q=0.1"], Text),
            (&["application/openmetrics-text;q=NaN"], Text),
            (&["application/openmetrics-text;q"], Text),
            (&["", ",", ";", "/", "q=1"], Text),
        ] {
            assert_eq!(accepted(values), format, "{values:?}");
        }
    }

    #[test]
    fn openmetrics_becomes_the_text_format() {
        let openmetrics = "# HELP a_b Counts \\\"x\\\" and \\\\.\n# TYPE a_b counter\na_b_total{l=\"x # HELP\\n\\\"\"} 1\n\
            # HELP c_seconds A time.\n# TYPE c_seconds gauge\n# UNIT c_seconds seconds\nc_seconds 1.5\n\
            # HELP d About.\n# TYPE d info\nd_info{v=\"1\"} 1\n\
            # HELP e None.\n# TYPE e unknown\ne 0\n# EOF\n";
        let text = "# HELP a_b_total Counts \"x\" and \\\\.\n# TYPE a_b_total counter\na_b_total{l=\"x # HELP\\n\\\"\"} 1\n\
            # HELP c_seconds A time.\n# TYPE c_seconds gauge\nc_seconds 1.5\n\
            # HELP d_info About.\n# TYPE d_info gauge\nd_info{v=\"1\"} 1\n\
            # HELP e None.\n# TYPE e untyped\ne 0\n";
        assert_eq!(to_text_format(openmetrics), text);
    }
}

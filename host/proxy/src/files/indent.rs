//! JSON with a line for each member, for people and for diffs.
//!
//! The rule: order and numbers stay as the server wrote them, and no copy of the text is left behind.

use zeroize::Zeroizing;

/// How the line of the request's id begins. Members of members are indented further.
pub(super) const REQUEST_ID: &[u8] = b"  \"request_id\":";

/// Indents by two spaces. The text is JSON: that was looked at before.
pub(super) fn indented(json: &[u8]) -> Zeroizing<Vec<u8>> {
    // Counted first, so that the text does not grow and leave parts of itself behind.
    let mut size = 0;
    walk(json, |part| size += part.len());
    let mut text = Zeroizing::new(Vec::with_capacity(size));
    walk(json, |part| text.extend_from_slice(part));
    text
}

fn walk(json: &[u8], mut put: impl FnMut(&[u8])) {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    let mut opened = false;
    for byte in json {
        if in_string {
            put(&[*byte]);
            in_string = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        if byte.is_ascii_whitespace() {
            continue;
        }
        let closes = matches!(byte, b'}' | b']');
        // An object or a list that holds something begins its lines with the first of it.
        if opened && !closes {
            line(depth, &mut put);
        }
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if !opened {
                    line(depth, &mut put);
                }
            }
            b'"' => in_string = true,
            _ => {}
        }
        opened = matches!(byte, b'{' | b'[');
        put(&[*byte]);
        match byte {
            b',' => line(depth, &mut put),
            b':' => put(b" "),
            _ => {}
        }
    }
    put(b"\n");
}

fn line(depth: usize, put: &mut impl FnMut(&[u8])) {
    put(b"\n");
    (0..depth).for_each(|_| put(b"  "));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::indented;

    fn text(json: &str) -> String {
        String::from_utf8(indented(json.as_bytes()).to_vec()).unwrap()
    }

    #[test]
    fn order_and_numbers_stay() {
        let json = r#"{"z": 1.50,"a":{"k":"a\"{,:}\\","e":{},"l":[1,[],"x"]},"n":null}"#;
        let expected = "{\n  \"z\": 1.50,\n  \"a\": {\n    \"k\": \"a\\\"{,:}\\\\\",\n    \"e\": {},\n    \"l\": [\n      1,\n      [],\n      \"x\"\n    ]\n  },\n  \"n\": null\n}\n";
        assert_eq!(text(json), expected);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from)
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((".{0,6}", inner), 0..4).prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// The usual printer is the oracle.
        #[test]
        fn it_is_as_others_print_it(value in json()) {
            prop_assert_eq!(text(&value.to_string()), format!("{}\n", serde_json::to_string_pretty(&value).unwrap()));
        }
    }
}

use proptest::prelude::*;
use serde_json::Value as Json;

use super::*;

/// The same structure, as serde_json has it.
fn json(value: &Value<'_>) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(bool) => Json::Bool(*bool),
        Value::Number(text) => serde_json::from_str(text).unwrap(),
        Value::String(text) => Json::String(text.decoded().unwrap().into_owned()),
        Value::Array(items) => Json::Array(items.iter().map(json).collect()),
        Value::Object(members) => Json::Object(members.iter().map(|(name, value)| ((*name).to_owned(), json(value))).collect()),
    }
}

fn refused(body: &str) -> ScanError {
    read(body.as_bytes()).unwrap_err()
}

#[test]
fn what_is_json_is_read_as_it_stands() {
    let body = r#" {"A":[1,-0.5e+7,true,false,null,{}],"b c":"plain","d":"esc \" \u00e4 \ud83d\ude00","":[ ] }"#;
    let value = read(body.as_bytes()).unwrap();
    assert_eq!(json(&value), serde_json::from_str::<Json>(body).unwrap());
    assert_eq!(value.member("b c").unwrap().plain(), Some("plain"));
    assert_eq!(value.member("d").unwrap().plain(), None);
    assert!(matches!(value.member("d"), Some(Value::String(text)) if text.decoded().unwrap() == "esc \" ä 😀"));
    assert_eq!(value.member("B C"), None);
}

#[test]
fn a_member_named_twice_is_refused_however_many_there_are() {
    assert_eq!(refused(r#"{"TableName":"a","TableName":"b"}"#), ScanError::Duplicate);
    assert_eq!(refused(r#"{"a":{"b":[{"c":1,"d":2,"c":3}]}}"#), ScanError::Duplicate);
    let many: Vec<String> = (0..100).chain([57]).map(|n| format!("\"m{n}\":{n}")).collect();
    assert_eq!(refused(&format!("{{{}}}", many.join(","))), ScanError::Duplicate);
    assert!(read(format!("{{{}}}", many[..100].join(",")).as_bytes()).is_ok());
    // Another name to JSON, though not to a reader that ignores case: the caller knows no such member.
    assert!(read(br#"{"TableName":"a","tablename":"b"}"#).is_ok());
}

#[test]
fn a_name_with_an_escape_is_refused() {
    for name in [r"Table\u004eame", r"\u0054ableName", r"a\/b", r"a\\b", r#"a\"b"#] {
        assert_eq!(refused(&format!(r#"{{"{name}":1}}"#)), ScanError::EscapedName, "{name}");
    }
}

#[test]
fn nothing_may_stand_behind_or_before_the_value() {
    for behind in ["{}", " ", "\n", "\0", ",", "null", "/**/", "\u{feff}"] {
        assert_eq!(refused(&format!("{{}}{behind}")), ScanError::Trailing, "{behind:?}");
    }
    for before in ["\u{feff}{}", "\0{}", "//x\n{}", "\u{a0}{}", ""] {
        assert!(matches!(refused(before), ScanError::Grammar(_)), "{before:?}");
    }
}

#[test]
fn what_is_not_json_is_refused() {
    let bodies = [
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{'a':1}",
        "[1,]",
        "[1 2]",
        "[",
        "tru",
        "True",
        "nul",
        "NaN",
        "Infinity",
        "01",
        "1.",
        ".5",
        "+1",
        "-",
        "1e",
        "0x1",
        "--1",
        "\"",
        "\"\\\"",
        "\"a\nb\"",
        "\"\u{1}\"",
        "\"\0\"",
        r#""\x""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\ud800""#,
        r#""\ud800\u0041""#,
        r#""\udc00""#,
        r#""\ud800\"#,
    ];
    for body in bodies {
        assert!(matches!(refused(body), ScanError::Grammar(_) | ScanError::Trailing), "{body:?}: {:?}", read(body.as_bytes()));
        assert!(serde_json::from_str::<Json>(body).is_err(), "{body:?}");
    }
    for body in [&b"\"\xff\""[..], b"{\"\xc3\x28\":1}", b"\"\xed\xa0\x80\"", b"\xef\xbb\xbf{}\xff"] {
        assert_eq!(read(body).unwrap_err(), ScanError::Encoding);
    }
}

#[test]
fn depth_and_number_of_values_are_bounded() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(nested(DEPTH + 1).as_bytes()).is_ok());
    assert_eq!(refused(&nested(DEPTH + 2)), ScanError::TooDeep);
    assert_eq!(refused(&nested(1 << 20)), ScanError::TooDeep);
    let list = |items: usize| format!("[{}1]", "1,".repeat(items - 1));
    assert!(read(list(VALUES - 1).as_bytes()).is_ok());
    assert_eq!(refused(&list(VALUES)), ScanError::TooMany);
}

#[test]
fn an_end_or_an_escape_is_found_wherever_it_stands_in_a_long_string() {
    for length in (0..70).chain([1000, 4096]) {
        let text = "ä".repeat(length / 2) + &"x".repeat(length % 2);
        let plain = format!("\"{text}\"");
        assert_eq!(read(plain.as_bytes()).unwrap().plain(), Some(text.as_str()));
        let escaped = format!("\"{text}\\n\"");
        assert!(
            matches!(read(escaped.as_bytes()), Ok(Value::String(found)) if found.escaped && found.decoded().unwrap() == format!("{text}\n"))
        );
        assert!(read(format!("\"{text}\u{1f}\"").as_bytes()).is_err());
    }
}

fn any_json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::Bool),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<String>().prop_map(Json::String),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Json::Array),
            prop::collection::btree_map("[^\"\\\\\u{0}-\u{1f}]{0,8}", inner, 0..24).prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_serde_json_writes_is_read_alike(value in any_json(), pretty in any::<bool>()) {
        let body = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let parsed: Json = serde_json::from_str(&body).unwrap();
        prop_assert_eq!(json(&read(body.as_bytes()).unwrap()), parsed);
    }

    #[test]
    fn what_is_accepted_serde_json_accepts_alike(value in any_json(), at in any::<prop::sample::Index>(), with in prop::collection::vec(any::<u8>(), 0..3), cut in 0..3usize) {
        let mut body = serde_json::to_vec(&value).unwrap();
        let at = at.index(body.len());
        let end = (at + cut).min(body.len());
        body.splice(at..end, with);
        if let Ok(found) = read(&body) {
            prop_assert_eq!(json(&found), serde_json::from_slice::<Json>(&body).unwrap());
        }
    }

    #[test]
    fn no_bytes_at_all_make_it_panic(body in "[\\[\\]{}\",:\\\\u0-9a-f\\-+.eE tn]{0,40}") {
        if let Ok(found) = read(body.as_bytes()) {
            prop_assert_eq!(json(&found), serde_json::from_str::<Json>(&body).unwrap());
        }
    }
}

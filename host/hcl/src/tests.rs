//! The whole parser: against the verdicts of the reference, against generated trees, and against any text at all.

use crate::{Item, Key, Kind, MAX_DEPTH, Number, Object, Pos, Value, parse, parse_bytes, parse_hcl, parse_json};
use proptest::prelude::*;

/// One line of the table: the verdict of `bao policy fmt` 2.7.2, a tab, the input escaped, and, where ours differs on purpose, a tab
/// and why.
fn verdicts() -> Vec<(String, Vec<u8>, Option<String>)> {
    include_str!("../testdata/verdicts.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let mut columns = line.split('\t');
            let verdict = columns.next().unwrap().to_owned();
            (verdict, unescape(columns.next().unwrap()), columns.next().map(str::to_owned))
        })
        .collect()
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('n')) => bytes.push(b'\n'),
            ('\\', Some('t')) => bytes.push(b'\t'),
            ('\\', Some('r')) => bytes.push(b'\r'),
            ('\\', Some('\\')) => bytes.push(b'\\'),
            ('\\', Some('x')) => {
                let hex: String = chars.by_ref().take(2).collect();
                bytes.push(u8::from_str_radix(&hex, 16).unwrap());
            }
            ('\\', other) => panic!("bad escape {other:?} in {text}"),
            (c, _) => bytes.push(u8::try_from(c).unwrap()),
        }
    }
    bytes
}

#[test]
fn the_reference_accepts_and_refuses_the_same_texts() {
    let verdicts = verdicts();
    assert!(verdicts.len() > 150);
    let mut wrong = Vec::new();
    for (verdict, input, reason) in verdicts {
        let ours = parse_bytes(&input);
        // A difference needs a reason, and a reason a difference.
        let agrees = (verdict == "accept") == ours.is_ok();
        if agrees == reason.is_some() {
            wrong.push(format!("{verdict}: {:?} -> {:?}", String::from_utf8_lossy(&input), ours.map(|object| object.items.len())));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn only(text: &str) -> Item {
    let mut object = parse(text).unwrap();
    assert_eq!(object.items.len(), 1, "{text}");
    object.items.remove(0)
}

fn text_of(text: &str) -> String {
    only(text).value.as_str().unwrap().to_owned()
}

fn error_of(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

#[test]
fn strings_have_the_value_the_reference_gives_them() {
    assert_eq!(only(r#""x\ty\101\x41\u00e9" = 1"#).name(), "x\tyAAé");
    assert_eq!(text_of(r#"a = "\xc3\xa9""#), "é");
    assert_eq!(text_of(r#"a = "${a\"b}""#), r#"${a\"b}"#);
    assert_eq!(text_of(r#"a = "a${b("c") }d\t""#), "a${b(\"c\") }d\t");
    assert_eq!(text_of(r#"a = "$${a}""#), "$${a}");
    assert_eq!(text_of("a = \"${b\n{c}}\""), "${b\n{c}}");
}

#[test]
fn heredocs_have_the_value_the_reference_gives_them() {
    assert_eq!(text_of("a = <<EOF\nx\nEOF\n"), "x\n");
    assert_eq!(text_of("a = <<EOF\nEOF\n"), "");
    assert_eq!(text_of("a = <<EOF\n  x\n  EOF\n"), "  x\n  ");
    assert_eq!(text_of("a = <<-EOF\n    x\n   y\n  EOF\n"), "  x\n y\n");
    assert_eq!(text_of("a = <<-EOF\n    x\n y\n  EOF\n"), "    x\n y\n");
    assert_eq!(text_of("a = <<-EOF\n    x\n\n  EOF\n"), "    x\n\n");
    assert_eq!(text_of("a = <<EOF\nx\n\tEOF \nEOF\n"), "x\n\tEOF \n");
    assert_eq!(text_of("a = <<EOF\r\nx\r\nEOF\r\n"), "x\n");
}

#[test]
fn numbers_keep_their_text_and_know_their_value() {
    assert_eq!(only("a = 0755").value.integer(), Ok(0o755));
    assert_eq!(only("a = -0x1f").value.integer(), Ok(-31));
    assert_eq!(only("a = 1.50").value.string(), Ok("1.50".to_owned()));
    assert!(only("a = 1e3").value.integer().is_err());
    assert!(only("a = 99999999999999999999").value.integer().is_err());
    let Kind::Number(number) = only("a = -1.5e2").value.kind else { panic!() };
    assert_eq!((number.to_f64(), number.to_i64()), (-150.0, None));
}

#[test]
fn a_value_is_read_as_leniently_as_vault_reads_it() {
    assert_eq!(only("a = 8200").value.string(), Ok("8200".to_owned()));
    assert_eq!(only("a = true").value.string(), Ok("1".to_owned()));
    assert_eq!(only("a = true").value.setting(), Ok("true".to_owned()));
    for yes in ["true", "1", "\"1\"", "\"true\"", "\"T\"", "2"] {
        assert_eq!(only(&format!("a = {yes}")).value.boolean(), Ok(true), "{yes}");
    }
    for no in ["false", "0", "\"0\"", "\"False\"", "0.0"] {
        assert_eq!(only(&format!("a = {no}")).value.boolean(), Ok(false), "{no}");
    }
    assert_eq!(only("\na = \"maybe\"").value.boolean().unwrap_err().to_string(), "2:5: expected true or false, found \"maybe\"");
    assert_eq!(only("a = \"5m\"").value.duration().unwrap().as_secs(), 300);
    assert_eq!(only("a = 90").value.duration().unwrap().as_secs(), 90);
    assert_eq!(only("a = \"32MiB\"").value.size(), Ok(33_554_432));
    assert_eq!(only("a = \"x, y\"").value.comma_strings(), Ok(vec!["x".to_owned(), "y".to_owned()]));
    assert_eq!(only("a = [\"x\", 1]").value.strings(), Ok(vec!["x".to_owned(), "1".to_owned()]));
    assert_eq!(only("a = {}").value.strings().unwrap_err().to_string(), "1:5: expected a list of strings, found an object");
}

#[test]
fn errors_name_the_place_and_what_was_expected() {
    for (text, message) in [
        ("a = b", "1:5: expected a value, found the name \"b\": a string is written \"b\""),
        ("a =", "1:4: expected a value, found the end of the text"),
        ("a", "1:2: expected '=' or '{' after the key \"a\", found the end of the text"),
        ("a \"b\" = 1", "1:7: a block with labels takes no '=': expected '{' after \"b\""),
        ("x = 1\ny {\n", "3:1: expected '}' for the '{' of 2:3, found the end of the text"),
        ("x = 1\n}", "2:1: expected a key, found '}'"),
        ("= 1", "1:1: expected a key (a name or a quoted string), found '='"),
        ("a = [1 2]", "1:8: expected ',' or ']' in the list of 1:5, found the number 2"),
        ("ttl = 12h", "1:9: unexpected 'h' after the number 12: a value with a unit is written as a string"),
        ("a = \"x\n\"", "1:5: literal not terminated: expected a closing '\"' on the same line"),
        ("\u{feff}a = 1", "1:1: illegal byte order mark: save the file as UTF-8 without one"),
        ("é = 'x'", "1:5: illegal character '\\'': strings stand between double quotes"),
        ("{\"a\": 1 \"b\": 2}", "1:9: expected ',' or '}', found '\"'"),
        ("{\"a\": 01}", "1:7: expected a JSON number, found \"01\""),
        ("{\"a\": 1} x", "1:10: expected the end of the text, found 'x'"),
    ] {
        assert_eq!(error_of(text), message, "{text}");
    }
    assert_eq!(parse_bytes(b"a = 1\n# \xc3\xa9\xff").unwrap_err().to_string(), "2:4: illegal UTF-8 encoding");
}

#[test]
fn json_and_hcl_give_the_same_blocks() {
    let labels = |text: &str| -> Vec<Vec<String>> {
        parse(text).unwrap().items.iter().map(|item| item.keys.iter().map(|key| key.text.clone()).collect()).collect()
    };
    let blocks = labels("listener \"tcp\" { address = \"a\" } listener \"tcp\" { address = \"b\" } storage \"file\" {}");
    assert_eq!(labels(r#"{"listener": [{"tcp": {"address": "a"}}, {"tcp": {"address": "b"}}], "storage": {"file": {}}}"#), blocks);
    // As the reference: an object that holds anything but objects is not spread.
    assert_eq!(labels(r#"{"listener": {"tcp": [{"address": "a"}, {"address": "b"}]}}"#), [["listener"]]);
    let telemetry = only(r#"{"telemetry": {"disable_hostname": true}}"#);
    assert_eq!((telemetry.keys.len(), telemetry.value.object().unwrap().items.len()), (1, 1));
}

#[test]
fn names_are_found_in_any_case_and_the_last_attribute_counts() {
    let object = parse("A = 1\na = 2\nPath \"x\" {}\npath \"y\" {}").unwrap();
    assert_eq!(object.get("a").unwrap().value.integer(), Ok(2));
    assert_eq!(object.named("path").filter_map(|item| item.label(0)).collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(object.get("path").unwrap().pos, Pos { line: 4, column: 1 });
}

#[test]
fn nesting_is_bounded_without_overflowing_the_stack() {
    for (open, close) in [("a {", "}"), ("a = [", "]"), ("a = {", "}")] {
        let nested = |depth: usize| {
            if open.ends_with('[') {
                format!("a = {}{}", "[".repeat(depth), close.repeat(depth))
            } else {
                format!("{}{}", open.repeat(depth), close.repeat(depth))
            }
        };
        assert!(parse_hcl(&nested(MAX_DEPTH)).is_ok(), "{open}");
        assert!(parse_hcl(&nested(MAX_DEPTH + 1)).unwrap_err().message.contains("nested deeper"), "{open}");
        assert!(parse_hcl(&open.repeat(1_000_000)).is_err(), "{open}");
    }
    assert!(parse_json(&"[".repeat(1_000_000)).unwrap_err().message.contains("nested deeper"));
    assert!(parse_json(&"{\"a\":".repeat(1_000_000)).unwrap_err().message.contains("nested deeper"));
    let deep = format!("{}{}{}", "{\"a\":".repeat(MAX_DEPTH), "1", "}".repeat(MAX_DEPTH));
    assert!(parse_json(&deep).is_ok());
}

/// Writes a tree as HCL; the parser must give the same tree back.
fn print_items(items: &[Item], out: &mut String) {
    for item in items {
        for key in &item.keys {
            print_string(&key.text, out);
        }
        // Labels allow only a block; a single key takes `=`.
        if item.keys.len() == 1 {
            out.push('=');
        }
        print_value(&item.value, out);
        out.push('\n');
    }
}

fn print_value(value: &Value, out: &mut String) {
    match &value.kind {
        Kind::Bool(value) => out.push_str(&value.to_string()),
        Kind::Number(number) => out.push_str(number.text()),
        Kind::String(text) => print_string(text, out),
        Kind::List(values) => {
            out.push('[');
            for value in values {
                print_value(value, out);
                out.push(',');
            }
            out.push(']');
        }
        Kind::Object(object) => {
            out.push('{');
            print_items(&object.items, out);
            out.push('}');
        }
        Kind::Null => panic!("HCL has no null"),
    }
}

fn print_string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            // A dollar sign is escaped so that no `${` arises.
            '"' | '\\' | '$' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Takes the positions out, which printing does not keep.
fn without_positions(object: &mut Object) {
    fn value(of: &mut Value) {
        of.pos = Pos::START;
        match &mut of.kind {
            Kind::List(values) => values.iter_mut().for_each(value),
            Kind::Object(object) => without_positions(object),
            _ => {}
        }
    }
    object.pos = Pos::START;
    for item in &mut object.items {
        item.pos = Pos::START;
        item.keys.iter_mut().for_each(|key| key.pos = Pos::START);
        value(&mut item.value);
    }
}

fn any_items(of: impl Strategy<Value = Value> + Clone + 'static) -> impl Strategy<Value = Object> {
    let key = any::<String>().prop_map(|text| Key { text, pos: Pos::START });
    let attribute = (key.clone(), of).prop_map(|(key, value)| Item { keys: vec![key], value, pos: Pos::START });
    let block = prop::collection::vec(key, 2..4).prop_map(|keys| {
        let value = Value { kind: Kind::Object(Object { items: Vec::new(), pos: Pos::START }), pos: Pos::START };
        Item { keys, value, pos: Pos::START }
    });
    prop::collection::vec(prop_oneof![4 => attribute, 1 => block], 0..4).prop_map(|items| Object { items, pos: Pos::START })
}

fn any_object() -> impl Strategy<Value = Object> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Kind::Bool),
        any::<i64>().prop_map(|number| Kind::Number(Number(number.to_string()))),
        "-?(0|[1-9][0-9]{0,9})\\.[0-9]{1,5}(e[+-]?[0-9]{1,2})?".prop_map(|text| Kind::Number(Number(text))),
        any::<String>().prop_map(Kind::String),
    ]
    .prop_map(|kind| Value { kind, pos: Pos::START });
    let value = leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![prop::collection::vec(inner.clone(), 0..4).prop_map(Kind::List), any_items(inner).prop_map(Kind::Object)]
            .prop_map(|kind| Value { kind, pos: Pos::START })
            .boxed()
    });
    any_items(value)
}

/// Text made of what the grammar is made of, which reaches deeper than random characters.
fn fragments() -> impl Strategy<Value = String> {
    const PARTS: &[&str] = &[
        "a", "b", " ", "\n", "=", ",", "{", "}", "[", "]", "\"", "\\", "${", "$", "<<EOF\n", "<<-EOF\n", "EOF\n", "#", "//", "/*", "*/",
        "0", "0x", "08", "1.5", "e", "-", "true", "null", ":", "\\u12", "\\x", "é", "\r\n", "\0", "\u{feff}",
    ];
    prop::collection::vec(prop::sample::select(PARTS), 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    #[test]
    fn a_printed_tree_parses_to_itself(object in any_object()) {
        let mut text = String::new();
        print_items(&object.items, &mut text);
        let mut parsed = parse_hcl(&text).unwrap();
        without_positions(&mut parsed);
        prop_assert_eq!(parsed, object);
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in any::<Vec<u8>>()) {
        let _ = parse_bytes(&bytes);
    }

    #[test]
    fn no_text_of_the_languages_parts_makes_a_parser_panic(text in fragments()) {
        let _ = parse_hcl(&text);
        let _ = parse_json(&text);
        let _ = parse_json(&format!("{{\"a\": {text}}}"));
        let _ = crate::parse_duration(&text);
        let _ = crate::parse_size(&text);
    }
}

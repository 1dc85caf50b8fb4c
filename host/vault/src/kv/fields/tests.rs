use proptest::prelude::*;
use serde_json::json;

use super::*;

const SCHEMA: Schema = &[("n", Kind::Int), ("b", Kind::Bool), ("s", Kind::Seconds), ("m", Kind::Map), ("v", Kind::Ints), ("t", Kind::Text)];

fn request(operation: Operation, body: Value) -> Request {
    crate::kv::testing::request(operation, "", body)
}

fn refused(body: Value) -> String {
    let request = request(Operation::Update, body);
    Input::new(&request, SCHEMA, true).err().unwrap().to_string()
}

#[test]
fn numbers_are_taken_as_text_boolean_and_with_a_base() {
    for (value, expected) in [
        (json!(5), 5),
        (json!("-5"), -5),
        (json!("+5"), 5),
        (json!(""), 0),
        (json!(true), 1),
        (json!(null), 0),
        (json!("01"), 1),
        (json!("0x1F"), 31),
        (json!("0b11"), 3),
        (json!("0o17"), 15),
        (json!("1_000"), 1_000),
        (json!("0x_f"), 15),
        (json!("-9223372036854775808"), i64::MIN),
    ] {
        let request = request(Operation::Read, json!({ "n": value }));
        assert_eq!(Input::new(&request, SCHEMA, true).unwrap().int("n"), Some(expected), "{request:?}", request = request.data);
    }
}

/// The texts are those of bao 2.7.2.
#[test]
fn what_cannot_be_converted_is_refused_with_the_field_and_the_reason() {
    let int = "error converting input for field \"n\": '' cannot parse value as 'int': strconv.ParseInt: ";
    for value in [json!("x"), json!("08"), json!("1.5"), json!("1e0"), json!("1__0"), json!("_1"), json!("0x"), json!(" 1"), json!("--1")] {
        assert_eq!(refused(json!({ "n": value })), format!("{int}invalid syntax"), "{value}");
    }
    let large: Value = serde_json::from_str("99999999999999999999").unwrap();
    assert_eq!(refused(json!({ "n": large })), format!("{int}value out of range"));
    assert_eq!(
        refused(json!({ "n": [1] })),
        "error converting input for field \"n\": '' expected type 'int', got unconvertible type '[]interface {}'"
    );
    assert_eq!(
        refused(json!({ "b": "yes" })),
        "error converting input for field \"b\": '' cannot parse value as 'bool': strconv.ParseBool: invalid syntax"
    );
    assert_eq!(
        refused(json!({ "b": {} })),
        "error converting input for field \"b\": '' expected type 'bool', got unconvertible type 'map[string]interface {}'"
    );
    assert_eq!(refused(json!({ "s": "-1h" })), "error converting input for field \"s\": cannot provide negative value '-3600'");
    assert_eq!(refused(json!({ "s": true })), "error converting input for field \"s\": could not parse duration from input");
    assert_eq!(
        refused(json!({ "m": "x" })),
        "error converting input for field \"m\": '' expected type 'map[string]interface {}', got unconvertible type 'string'"
    );
    assert_eq!(
        refused(json!({ "m": [1] })),
        "error converting input for field \"m\": '[0]' expected type 'map[string]interface {}', got unconvertible type 'json.Number'"
    );
    assert_eq!(
        refused(json!({ "v": ["a", 1, "b"] })),
        "error converting input for field \"v\": decoding failed due to the following error(s):\n\n'[0]' cannot parse value as 'int': strconv.ParseInt: \
         invalid syntax\n'[2]' cannot parse value as 'int': strconv.ParseInt: invalid syntax"
    );
}

#[test]
fn lists_of_numbers_are_taken_as_text_single_value_and_array() {
    for (value, expected) in [
        (json!([1, "2", true, null, ""]), vec![1, 2, 1, 0, 0]),
        (json!("1, 2"), vec![1, 2]),
        (json!(3), vec![3]),
        (json!(true), vec![1]),
        (json!([]), vec![]),
        (json!({}), vec![]),
        (json!(""), vec![]),
        (json!(null), vec![]),
    ] {
        let request = request(Operation::Update, json!({ "v": value }));
        assert_eq!(Input::new(&request, SCHEMA, false).unwrap().ints("v"), expected);
    }
}

#[test]
fn an_array_of_objects_counts_as_one_object() {
    let request = request(Operation::Update, json!({ "m": [{ "a": 1 }, [], { "b": 2 }] }));
    let input = Input::new(&request, SCHEMA, true).unwrap();
    assert_eq!(input.map("m").unwrap().unwrap(), json!({ "a": 1, "b": 2 }).as_object().unwrap());
}

#[test]
fn null_is_given_for_all_kinds_but_durations() {
    let request = request(Operation::Update, json!({ "n": null, "b": null, "s": null, "m": null, "t": null }));
    let input = Input::new(&request, SCHEMA, true).unwrap();
    assert_eq!((input.int("n"), input.bool("b"), input.text("t")), (Some(0), Some(false), Some("")));
    assert_eq!(input.map("m"), Some(None));
    assert!(!input.has("s") && input.has("n"));
}

#[test]
fn errors_are_marked_as_validation_where_the_path_has_no_existence_check() {
    for (operation, has_check, marked) in [
        (Operation::Update, true, false),
        (Operation::Create, true, false),
        (Operation::Update, false, true),
        (Operation::Read, true, true),
        (Operation::Patch, true, true),
    ] {
        let request = request(operation, json!({ "n": "x" }));
        let text = Input::new(&request, SCHEMA, has_check).err().unwrap().to_string();
        assert_eq!(text.starts_with("Field validation failed: error converting"), marked, "{operation:?}: {text}");
    }
}

#[test]
fn unknown_fields_are_warned_of_in_answers_that_are_not_empty() {
    let request = request(Operation::Read, json!({ "foo": 1, "n": 1, "path": "x", "bar": 2 }));
    let answer = Input::new(&request, SCHEMA, true).unwrap().warn(Response::data(Fields::new()).warn("first"));
    assert_eq!(
        answer.warnings,
        [
            "first",
            "Endpoint ignored these unrecognized parameters: [bar foo]",
            "Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [path]"
        ]
    );
    assert!(Input::new(&request, SCHEMA, true).unwrap().warn(Response::empty()).warnings.is_empty());
    let gone = Response { status: Some(404), ..Response::data(Fields::new()) };
    assert!(Input::new(&request, SCHEMA, true).unwrap().warn(gone).warnings.is_empty());
}

proptest! {
    #[test]
    fn every_number_is_read_back_from_its_text(value: i64) {
        prop_assert_eq!(parse_int(&value.to_string()), Ok(value));
    }

    #[test]
    fn no_text_makes_the_number_parser_fall_over(text in "[-+_xXbBoO0-9a-f\\u{e9}]{0,24}") {
        let _ = parse_int(&text);
    }
}

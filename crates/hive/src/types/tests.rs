use proptest::prelude::*;

use super::*;

#[test]
fn canonical_text() {
    for (text, canonical) in [
        ("INT", "int"),
        (" Integer ", "int"),
        ("double precision", "double"),
        ("decimal", "decimal(10,0)"),
        ("DECIMAL ( 12 )", "decimal(12,0)"),
        ("numeric(5,2)", "decimal(5,2)"),
        ("varchar( 65535 )", "varchar(65535)"),
        ("char(3)", "char(3)"),
        ("Array < String >", "array<string>"),
        ("map<string , array<int>>", "map<string,array<int>>"),
        ("struct<Lat:double, Lon : double>", "struct<lat:double,lon:double>"),
        ("struct<`a b`:int>", "struct<`a b`:int>"),
        ("struct<`plain`:int>", "struct<plain:int>"),
        ("struct<`q``q`:int>", "struct<`q``q`:int>"),
        ("struct<x-y:int>", "struct<x-y:int>"),
        ("struct<a:int comment 'it\\'s > , :', b:date COMMENT \"x\">", "struct<a:int,b:date>"),
        ("struct<date:date,comment:string>", "struct<date:date,comment:string>"),
    ] {
        let parsed = Type::parse(text).unwrap();
        assert_eq!(parsed.to_string(), canonical, "{text}");
        assert_eq!(Type::parse(canonical).unwrap(), parsed, "{text}");
    }
}

#[test]
fn refusals_say_where_and_why() {
    for (text, message) in [
        ("", "position 0: the end found, a type expected"),
        ("strng", "position 0: type 'strng' is not known"),
        ("array", "position 5: the end found, '<' expected"),
        ("array<int", "position 9: the end found, '>' expected"),
        ("array<>", "position 6: '>' found, a type expected"),
        ("map<string>", "position 10: '>' found, ',' expected"),
        ("map<array<int>,int>", "position 4: type 'array<int>' is not supported: keys of maps are primitive"),
        ("struct<>", "position 7: '>' found, the name of a field expected"),
        ("struct<a int>", "position 9: 'int' found, ':' expected"),
        ("struct<a:int,A:int>", "position 13: field 'a' stands twice in a struct"),
        ("struct<a:int comment x>", "position 21: 'x' found, a comment in quotes expected"),
        ("int x", "position 4: 'x' found, the end expected"),
        ("decimal(39,0)", "position 8: the precision of decimal must be between 1 and 38"),
        ("decimal(5,6)", "position 10: the scale of decimal must be between 0 and 5"),
        ("decimal(a)", "position 8: 'a' found, a number expected"),
        ("char(256)", "position 5: the length of char must be between 1 and 255"),
        ("varchar", "position 7: the end found, a length in parentheses expected"),
        ("uniontype<int,string>", "position 0: type 'uniontype' is not supported: Athena has no type for it"),
        (
            "timestamp with local time zone",
            "position 0: type 'timestamp with time zone' is not supported: Athena's tables have no type with a time zone; \
             use timestamp or string",
        ),
    ] {
        assert_eq!(Type::parse(text).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn depth_has_a_limit() {
    let nested = |depth: usize| format!("{}int{}", "array<".repeat(depth - 1), ">".repeat(depth - 1));
    assert_eq!(Type::parse(&nested(MAX_DEPTH)).unwrap().depth(), MAX_DEPTH);
    assert!(matches!(Type::parse(&nested(MAX_DEPTH + 1)), Err(TypeError::TooDeep { .. })));
    assert!(matches!(Type::parse(&nested(100_000)), Err(TypeError::TooLong)));
}

#[test]
fn comments_of_ddl_are_blanks() {
    let text = "x struct<a:int, -- the first\n /* and */ b:string>, next";
    let (kind, end) = Type::parse_ddl(text, 2).unwrap();
    assert_eq!(kind.to_string(), "struct<a:int,b:string>");
    assert_eq!(&text[end..], ", next");
}

/// Any type.
pub fn any_type() -> impl Strategy<Value = Type> {
    let primitive = prop_oneof![
        Just(Type::Boolean),
        Just(Type::Int),
        Just(Type::BigInt),
        Just(Type::Double),
        Just(Type::String),
        Just(Type::Timestamp),
        (1..=38u8).prop_flat_map(|precision| (0..=precision).prop_map(move |scale| Type::Decimal { precision, scale })),
        (1..=MAX_CHAR).prop_map(Type::Char),
        (1..=MAX_VARCHAR).prop_map(Type::Varchar),
    ];
    primitive.clone().prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            inner.clone().prop_map(|t| Type::Array(Box::new(t))),
            (primitive.clone(), inner.clone()).prop_map(|(k, v)| Type::Map(Box::new(k), Box::new(v))),
            prop::collection::btree_map("[a-z0-9_ :<>`',é-]{1,6}", inner, 1..4)
                .prop_map(|fields| Type::Struct(fields.into_iter().map(|(name, kind)| Field { name, kind }).collect())),
        ]
    })
}

proptest! {
    #[test]
    fn text_comes_back(kind in any_type()) {
        prop_assert_eq!(Type::parse(&kind.to_string()).unwrap(), kind);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(array|map|struct|int|[<>:,`() a'-]){0,12}") {
        if let Ok(kind) = Type::parse(&text) {
            prop_assert_eq!(Type::parse(&kind.to_string()).unwrap(), kind);
        }
    }
}

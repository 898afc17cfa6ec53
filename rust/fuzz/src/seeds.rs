//! What the fuzzer begins with: small inputs that reach most of the code.

/// Values, and what nearly is one.
const JSON: [&str; 31] = [
    r#"{"a": [1, -2.5e+3, 0.0, 1E5], "b": {"c": null}, "d": true, "e": false}"#,
    r#"{"a": 1, "a": 2, "\u0061": 3}"#,
    " [ ] ",
    r#"[[[[[{"a":[{}]}]]]]]"#,
    r#""\"\\\/\b\f\n\r\t\u0000\u00e9\u20AC""#,
    r#""\ud83d\ude00""#,
    r#"["\ud800", "\uDC00", "\ud800\u0041", "\ud800\ud83d\ude00", "\ud800\n"]"#,
    "\"é日本語😀\u{7f}\"",
    "1e999",
    "-0",
    "[1e400, 123456789012345678901234567890, 0e99999]",
    "\u{FEFF}{}",
    "[1,]",
    r#"{"a":}"#,
    r#"{"a" 1}"#,
    "{a: 1}",
    "[01]",
    "[1.]",
    "[-]",
    "[1e]",
    "nul",
    r#""\x""#,
    r#""\u12g4""#,
    "\"\u{1}\"",
    "\"\t\"",
    "\"open",
    "{} {}",
    "",
    " ",
    "[\"]\", {\"}\": \"{\"}]",
    "[1\r\n,\t2\n]",
];

const ROWS: [&str; 9] = [
    r#"{"messages": [{"role": "user", "content": "h\u0069"}, {"role": "gpt", "content": null,
        "tool_calls": [{"function": {"name": "f", "arguments": "{}"}, "name": "g"}]}], "tools": [{"x": 1}]}"#,
    r#"{"messages": [{"content": ["a", {"type": "text", "text": "b"}, {"type": "image", "text": "c"}, null, 5],
        "role": "human", "refusal": {"text": "d", "type": "text"}}]}"#,
    r#"{"messages": [{"role": "a", "role": "d\u00e9veloppeur", "content": "x", "content": "y",
        "function_call": {"name": "f", "arguments": {"a": [1]}}}], "messages": []}"#,
    r#"{"messages": [{"role": 1, "content": "x"}]}"#,
    r#"{"messages": null}"#,
    r#"{"instruction": "a", "output": "b", "system": null, "history": [["q", "a"]], "response": "c"}"#,
    r#"{"instruction": "a", "output": null, "response": 5}"#,
    r#"{"text": "a", "b": {"c": ["d", {"e": "f"}], "c": "g"}, "h": 1, "a": {}, "a": []}"#,
    r#"{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":"x","a":"y","\u0062":"z"}"#,
];

const TEXTS: [&str; 14] = [
    "",
    "The 12 quick brown foxes, and 3.5 lazy dogs: 2+3=5 <b>It's</b> snake_case OK",
    "a bb ccc dddd eeeee ffffff 7777777 88888888 nine99999 0123456789abcdef seventeen_letters",
    "Straße ÀB cafe\u{301} CAFÉ a\u{323}\u{302} a\u{302}\u{323}",
    "καὶ λόγος ᾳ ≠ π, Съешь же ещё",
    "去年今日此門中，人面桃花相映紅。中文和English混排123",
    "ガギグ\u{30AB}\u{3099} ひらがな กรุงเทพ ๑๒๓",
    "한국어 \u{1112}\u{1161}\u{11AB} 각각 값",
    "السَّلَامُ ٣٤ שָׁלוֹם",
    "a😀b ❤\u{FE0F} \u{301}x €7 ∑∞ \u{E000}a\u{E000}",
    "tab\there\r\nline\u{0}nul\u{7f}del\u{85}\u{A0}end",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa b",
    "+-*/=<>^%$|~.,_' + - * / = < > ^ % $ | ~ +\u{338}",
    "...!? \u{1F600}",
];

/// The seeds of a target.
#[must_use]
pub fn of(target: &str) -> Vec<Vec<u8>> {
    let bytes = |text: &&str| text.as_bytes().to_vec();
    let led = |first: u8| move |text: Vec<u8>| [&[first], &*text].concat();
    let all = JSON.iter().chain(&ROWS);
    match target {
        "validate" => {
            let deep = [127, 128, 256, 257].map(|deep| "[".repeat(deep) + &"]".repeat(deep));
            all.map(bytes).chain(deep.map(String::into_bytes)).collect()
        }
        "unescape" => {
            let inside = |json: &str| Some(json.strip_prefix('"')?.strip_suffix('"')?.to_owned());
            let strings = JSON.iter().filter_map(|json| inside(json));
            let texts = TEXTS.iter().map(|&text| text.to_owned());
            strings.chain(texts).map(String::into_bytes).collect()
        }
        "parts" => (0..8)
            .flat_map(|first| ROWS.iter().map(bytes).map(led(first)))
            .collect(),
        "lines" => {
            let array = format!("[{}]", ROWS.join(",\n"));
            let lines = ROWS.map(|row| row.replace('\n', "")).join("\n \r\n");
            let all =
                all.copied()
                    .chain([&*array, &*lines, "\u{FEFF}\n[1]\n[2]", "[{},\n{}", "[\n{"]);
            let all = all.map(|text| text.as_bytes().to_vec());
            all.flat_map(|text| (0..4).map(move |first| led(first)(text.clone())))
                .collect()
        }
        "tokens" => {
            let long = TEXTS.join(" ");
            let texts = TEXTS.iter().map(bytes).chain([long.into_bytes()]);
            let sizes = [0_u8, 3, 200].into_iter();
            let texts: Vec<Vec<u8>> = texts.collect();
            sizes
                .flat_map(|size| texts.iter().cloned().map(led(size)).map(led(size)))
                .collect()
        }
        _ => Vec::new(),
    }
}

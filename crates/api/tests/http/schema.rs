//! As much of JSON Schema (2020-12) as the description uses; a keyword that is not known here fails the test.

use serde_json::Value;

/// What of `value` is not as `schema` says; empty when all is.
pub fn differences(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(document, schema, value, "$", &mut found);
    found
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let Some(keywords) = schema.as_object() else {
        found.push(format!("{at}: {schema} is no schema"));
        return;
    };
    for (keyword, wanted) in keywords {
        match keyword.as_str() {
            "$ref" => {
                let path = wanted.as_str().unwrap().trim_start_matches('#');
                match document.pointer(path) {
                    Some(schema) => check(document, schema, value, at, found),
                    None => found.push(format!("{at}: {path} is not there")),
                }
            }
            "type" => {
                let fits = match wanted {
                    Value::Array(all) => all.iter().any(|t| is(t, value)),
                    one => is(one, value),
                };
                if !fits {
                    found.push(format!("{at}: {value} is not {wanted}"));
                }
            }
            "enum" if !wanted.as_array().unwrap().contains(value) => {
                found.push(format!("{at}: {value} is none of {wanted}"));
            }
            "const" if wanted != value => found.push(format!("{at}: {value} is not {wanted}")),
            "minimum" if value.as_f64() < wanted.as_f64() => {
                found.push(format!("{at}: {value} is too small"))
            }
            "maximum" if value.as_f64() > wanted.as_f64() => {
                found.push(format!("{at}: {value} is too large"))
            }
            "minLength"
                if value
                    .as_str()
                    .is_some_and(|s| (s.len() as u64) < wanted.as_u64().unwrap()) =>
            {
                found.push(format!("{at}: {value} is too short"));
            }
            "oneOf" => {
                let fits = wanted.as_array().unwrap().iter();
                let fits = fits
                    .filter(|s| differences(document, s, value).is_empty())
                    .count();
                if fits != 1 {
                    found.push(format!("{at}: {value} fits {fits} of the choices"));
                }
            }
            "items" => {
                for (n, item) in value.as_array().into_iter().flatten().enumerate() {
                    check(document, wanted, item, &format!("{at}[{n}]"), found);
                }
            }
            "required" => {
                for name in wanted.as_array().unwrap() {
                    if value.is_object() && value.get(name.as_str().unwrap()).is_none() {
                        found.push(format!("{at}: {name} is missing"));
                    }
                }
            }
            "properties" => {
                for (name, schema) in wanted.as_object().unwrap() {
                    if let Some(member) = value.get(name) {
                        check(document, schema, member, &format!("{at}.{name}"), found);
                    }
                }
            }
            "additionalProperties" => {
                let known = keywords.get("properties").and_then(Value::as_object);
                for (name, member) in value.as_object().into_iter().flatten() {
                    if known.is_some_and(|k| k.contains_key(name)) {
                        continue;
                    }
                    match wanted {
                        Value::Bool(false) => found.push(format!("{at}: {name} is not described")),
                        schema => check(document, schema, member, &format!("{at}.{name}"), found),
                    }
                }
            }
            "enum" | "const" | "minimum" | "maximum" | "minLength" | "description" | "default" => {}
            other => found.push(format!(
                "{at}: the keyword {other} is not known to this test"
            )),
        }
    }
}

fn is(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "null" => value.is_null(),
        _ => false,
    }
}

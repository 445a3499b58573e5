//! Form bodies and query strings with brackets, read into a tree: `items[0][price]=p&expand[]=customer`.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// Most parameters of one call; Stripe's largest legitimate forms have some hundred.
const PARAMETERS_MAX: usize = 5_000;
/// Deepest nesting, `a[b][c]..`; Stripe's own parameters end at six.
const DEPTH_MAX: usize = 12;

/// Why a form could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum FormError {
    /// Brackets that do not match.
    #[error("Invalid parameter name: {0}")]
    Name(String),
    /// One name as text and as an object.
    #[error("The parameter {0} is given both as a value and as an object")]
    Mixed(String),
    /// A bound was passed.
    #[error("Too many parameters")]
    TooMany,
}

#[derive(Debug)]
enum Node {
    Leaf(String),
    Branch(BTreeMap<Key, Node>),
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Index(u32),
    Name(String),
}

/// Reads `a=1&b[c]=2` into a tree whose leaves are texts; names with only numbers below them become lists.
///
/// # Errors
/// Brackets that do not match, a name used as value and object, too many parameters.
pub fn parse(text: &str) -> Result<Map<String, Value>, FormError> {
    let mut root = BTreeMap::new();
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    for (number, pair) in pairs.enumerate() {
        if number == PARAMETERS_MAX {
            return Err(FormError::TooMany);
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decode(name);
        put(&mut root, &segments(&name)?, decode(value), &name)?;
    }
    let tree = root.into_iter().map(|(key, node)| (key.into_name(), node.into_value()));
    Ok(tree.collect())
}

fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned()
}

/// `a[b][]` as `a`, `b`, ``.
fn segments(name: &str) -> Result<Vec<&str>, FormError> {
    let bad = || FormError::Name(name.to_owned());
    let (head, mut rest) = name.split_at(name.find('[').unwrap_or(name.len()));
    if head.is_empty() {
        return Err(bad());
    }
    let mut found = vec![head];
    while !rest.is_empty() {
        let inner = rest.strip_prefix('[').ok_or_else(bad)?;
        let (segment, after) = inner.split_once(']').ok_or_else(bad)?;
        found.push(segment);
        rest = after;
    }
    if found.len() > DEPTH_MAX {
        return Err(FormError::TooMany);
    }
    Ok(found)
}

fn put(branch: &mut BTreeMap<Key, Node>, segments: &[&str], value: String, name: &str) -> Result<(), FormError> {
    let Some((first, rest)) = segments.split_first() else {
        return Ok(());
    };
    let key = match *first {
        "" => next_index(branch, rest),
        text => Key::of(text),
    };
    if rest.is_empty() {
        return match branch.insert(key, Node::Leaf(value)) {
            Some(Node::Branch(_)) => Err(FormError::Mixed(name.to_owned())),
            Some(Node::Leaf(_)) | None => Ok(()),
        };
    }
    match branch.entry(key).or_insert_with(|| Node::Branch(BTreeMap::new())) {
        Node::Branch(inner) => put(inner, rest, value, name),
        Node::Leaf(_) => Err(FormError::Mixed(name.to_owned())),
    }
}

/// `a[][b]=1&a[][c]=2` is one element, `a[][b]=1&a[][b]=2` are two: a repeated name begins the next element.
fn next_index(branch: &BTreeMap<Key, Node>, rest: &[&str]) -> Key {
    let last = branch.iter().next_back();
    match last {
        Some((Key::Index(at), Node::Branch(inner)))
            if rest.first().is_some_and(|name| !inner.contains_key(&Key::of(name))) =>
        {
            Key::Index(*at)
        }
        Some((Key::Index(at), _)) => Key::Index(at.saturating_add(1)),
        Some((Key::Name(_), _)) | None => Key::Index(0),
    }
}

impl Key {
    fn of(text: &str) -> Self {
        let digits = !text.is_empty() && text.len() < 6 && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(index) if digits => Self::Index(index),
            Ok(_) | Err(_) => Self::Name(text.to_owned()),
        }
    }

    fn into_name(self) -> String {
        match self {
            Self::Index(index) => index.to_string(),
            Self::Name(name) => name,
        }
    }
}

impl Node {
    fn into_value(self) -> Value {
        match self {
            Self::Leaf(text) => Value::String(text),
            Self::Branch(branch) if branch.keys().all(|key| matches!(key, Key::Index(_))) => {
                Value::Array(branch.into_values().map(Self::into_value).collect())
            }
            Self::Branch(branch) => {
                let fields = branch.into_iter();
                Value::Object(fields.map(|(key, node)| (key.into_name(), node.into_value())).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn brackets_make_objects_and_lists() {
        let tree = parse("a=1&b[c]=x%20y+z&d[]=1&d[]=2&e[0][p]=q&e[1][p]=r&e[10][p]=s&e[2][p]=t").unwrap();
        let wanted = json!({"a": "1", "b": {"c": "x y z"}, "d": ["1", "2"],
            "e": [{"p": "q"}, {"p": "r"}, {"p": "t"}, {"p": "s"}]});
        assert_eq!(Value::Object(tree), wanted);
    }

    #[test]
    fn a_repeated_name_begins_the_next_element() {
        let tree = parse("i[][price]=a&i[][quantity]=1&i[][price]=b&m[k]=&m[7]=x").unwrap();
        let wanted = json!({"i": [{"price": "a", "quantity": "1"}, {"price": "b"}], "m": {"k": "", "7": "x"}});
        assert_eq!(Value::Object(tree), wanted);
    }

    #[test]
    fn names_that_make_no_sense_are_refused() {
        assert_eq!(parse("a[b=1"), Err(FormError::Name("a[b".into())));
        assert_eq!(parse("[a]=1"), Err(FormError::Name("[a]".into())));
        assert_eq!(parse("a=1&a[b]=2"), Err(FormError::Mixed("a[b]".into())));
        assert_eq!(parse("a[b]=2&a=1"), Err(FormError::Mixed("a".into())));
        assert_eq!(parse(&"a=1&".repeat(PARAMETERS_MAX + 1)), Err(FormError::TooMany));
        assert_eq!(
            parse(&format!("a{}=1", "[b]".repeat(DEPTH_MAX))),
            Err(FormError::TooMany)
        );
    }
}

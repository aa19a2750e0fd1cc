//! Values of a TOML table by their paths.

use toml::{Table, Value};

/// The value at this path.
pub(crate) fn value<'a>(table: &'a Table, path: &[&str]) -> Option<&'a Value> {
    let (first, rest) = path.split_first()?;
    let value_at_first = table.get(*first)?;
    if rest.is_empty() { Some(value_at_first) } else { value(value_at_first.as_table()?, rest) }
}

/// Sets the value at this path, or removes it. Makes the tables on the way to a value, and removes
/// those that become empty.
pub(crate) fn set(table: &mut Table, path: &[&str], to: Option<&Value>) {
    let Some((first, rest)) = path.split_first() else { return };
    match (rest, to) {
        ([], Some(to)) => drop(table.insert((*first).to_owned(), to.clone())),
        ([], None) => drop(table.remove(*first)),
        _ => {
            let inner = table.entry(*first).or_insert_with(|| Value::Table(Table::new()));
            if let Some(inner) = inner.as_table_mut() {
                set(inner, rest, to);
                if inner.is_empty() {
                    table.remove(*first);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_set_read_and_removed() {
        let mut table = Table::new();
        set(&mut table, &["a", "b"], Some(&Value::Integer(1)));
        set(&mut table, &["c"], Some(&Value::Integer(2)));
        assert_eq!(value(&table, &["a", "b"]), Some(&Value::Integer(1)));
        assert_eq!(value(&table, &["c", "d"]), None);
        assert_eq!(value(&table, &[]), None);
        set(&mut table, &["a", "b"], None);
        assert_eq!(table.to_string(), "c = 2\n");
    }
}

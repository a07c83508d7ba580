//! The ways in which a row of a table could be made, the best first.

use postgres_protocol::escape::escape_identifier;

/// How many ways of a kind to make a row are tried where the best one is refused.
const WAYS: u64 = 400;

/// And of those that leave a column out, or give it what the server would.
const WAYS_AT_RANDOM: u64 = 100;

/// A table without rows.
#[derive(Debug, Default)]
pub struct Empty {
    /// Qualified and quoted.
    pub name: String,
    pub columns: Vec<Column>,
}

#[derive(Debug)]
pub struct Column {
    pub name: String,
    /// By its type alone.
    pub made: String,
    /// What its checks may ask for.
    pub likely: Vec<String>,
    pub required: bool,
    /// The server has a value where none is given.
    pub has_default: bool,
    /// The tables and columns that foreign keys take its values from; the widest key first.
    pub keys: Vec<(String, String)>,
}

impl Empty {
    pub fn points_to(&self) -> impl Iterator<Item = &String> {
        self.columns.iter().flat_map(|column| &column.keys).map(|(table, _)| table)
    }

    /// The ways to make a row, each as an INSERT that lacks where `n` comes from. First every column has a value of its own, or the
    /// server's; then some are left NULL; and at last a value is given, too, where the server has one: a number that is taken without
    /// asking its sequence would be in the way of who asks it later.
    pub fn ways(&self) -> Vec<String> {
        let choices: Vec<Choices> = self.columns.iter().map(|column| column.choices(self)).collect();
        let product = choices.iter().fold(1, |product: u64, column| product.saturating_mul(column.usual.len() as u64));
        let mut ways = Vec::new();
        let mut add = |pick: &dyn Fn(u64, &Choices) -> Value| {
            let values = choices.iter().zip(0..).map(|(column, at)| pick(at, column)).collect();
            let way = self.insert(values);
            if !ways.contains(&way) {
                ways.push(way);
            }
        };
        add(&|_, column| column.usual[0].clone());
        for way in 0..product.min(WAYS) {
            let before =
                |at: u64| choices[..at as usize].iter().map(|column| column.usual.len() as u64).product::<u64>();
            match product <= WAYS {
                true => add(&|at, column| nth(&column.usual, way / before(at))),
                false => add(&|at, column| nth(&column.usual, mixed(way, at))),
            }
        }
        for left_out in 0..choices.len() as u64 {
            add(&|at, column| if at == left_out && column.may_be_null { None } else { column.usual[0].clone() });
        }
        for way in 0..WAYS_AT_RANDOM {
            let is_null = |at, column: &Choices| column.may_be_null && mixed(way, at + 1000).is_multiple_of(2);
            add(&|at, column| if is_null(at, column) { None } else { nth(&column.usual, mixed(way, at)) });
        }
        for given in 0..choices.len() as u64 {
            let further = |column: &Choices| column.further.first().cloned();
            add(&|at, column| further(column).filter(|_| at == given).unwrap_or_else(|| column.usual[0].clone()));
        }
        for way in 0..WAYS_AT_RANDOM {
            add(&|at, column| nth(&[column.usual.as_slice(), &column.further].concat(), mixed(way, at)));
        }
        ways
    }

    /// As its types suggest.
    pub fn best(&self) -> String {
        self.insert(self.columns.iter().map(|column| column.choices(self).usual.swap_remove(0)).collect())
    }

    pub fn insert(&self, values: Vec<Value>) -> String {
        let given = self.columns.iter().zip(values);
        let given = given.filter_map(|(column, value)| Some((escape_identifier(&column.name), value?)));
        let (names, values): (Vec<String>, Vec<String>) = given.unzip();
        match names.as_slice() {
            [] => format!("insert into {} select from", self.name),
            names => format!(
                "insert into {} ({}) overriding system value select {} from",
                self.name,
                names.join(", "),
                values.join(", ")
            ),
        }
    }
}

/// As SQL; None leaves the column to the server.
pub type Value = Option<String>;

/// What a column may get in row `n`.
pub struct Choices {
    /// Never empty, and the best first.
    pub usual: Vec<Value>,
    /// Instead of the server's own.
    further: Vec<Value>,
    may_be_null: bool,
}

fn nth(values: &[Value], number: u64) -> Value {
    values.get((number % values.len() as u64) as usize).cloned().flatten()
}

/// Any number, but the same each time.
fn mixed(way: u64, column: u64) -> u64 {
    ((way + 1) * (2 * column + 1)).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40
}

impl Column {
    pub fn choices(&self, table: &Empty) -> Choices {
        let own = || [self.made.clone()].into_iter().chain(self.likely.iter().cloned()).map(Some).collect();
        let may_be_null = !self.required && !self.has_default;
        match self.keys.first() {
            Some((target, column)) => {
                let same = table.columns.iter().find(|other| *target == table.name && other.name == *column);
                let same = same.map(|other| Some(other.made.clone()));
                let other = Some(self.of_another_row(target, column));
                Choices { usual: [other].into_iter().chain(same).collect(), further: Vec::new(), may_be_null }
            }
            None if self.has_default => Choices { usual: vec![None], further: own(), may_be_null },
            None => Choices { usual: own(), further: Vec::new(), may_be_null },
        }
    }

    /// Taken in turn. Of several keys of one column, only what all of them allow.
    fn of_another_row(&self, target: &str, column: &str) -> String {
        let column = escape_identifier(column);
        let allowed: Vec<String> = self.keys[1..]
            .iter()
            .map(|(other, there)| format!("k.{column} in (select {} from {other})", escape_identifier(there)))
            .collect();
        let allowed = if allowed.is_empty() { "true".to_owned() } else { allowed.join(" and ") };
        // The other table may have a column `n` of its own.
        let count = format!("(select pg_catalog.count(*) from {target} k where {allowed})");
        let turn = format!("(made.n - 1) % greatest({count}, 1)");
        format!("(select k.{column} from {target} k where {allowed} offset {turn} limit 1)")
    }
}

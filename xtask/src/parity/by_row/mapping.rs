//! Which columns of a pair identify a row and which hold its values: as drill.toml says, or as both tables say for certain.

use std::collections::BTreeSet;

use postgres_protocol::escape::escape_identifier;

use crate::parity::by_row::common_type::{CommonType, alone, common_type};
use crate::parity::by_row::verdict::How;
use crate::parity::obstacle::Obstacle;
use crate::parity::shape::{Shape, Shapes};
use crate::settings::pair::{Pair, Which};
use crate::settings::row_mapping::{Columns, RowMapping};

#[derive(Debug, Clone)]
pub struct Mapping {
    pub key: Vec<Compared>,
    pub values: Vec<Compared>,
    /// How many percent of Prisma's rows may have other values.
    pub threshold_pct: f64,
    /// As drill.toml says, and not as found.
    pub named: bool,
    /// The mirror's columns may be fetched over REST.
    pub over_rest: bool,
    /// Both sides keep the key unique, and Prisma's is never NULL: a row has one partner at most.
    pub unique: bool,
    /// What tells a person which row it is: the primary key of each side, as far as it has one.
    pub primary: [Vec<String>; 2],
}

/// Two columns and the type in which they are compared.
#[derive(Debug, Clone)]
pub struct Compared {
    pub columns: Columns,
    pub common: CommonType,
}

impl Mapping {
    /// None where drill.toml names no columns and nothing is certain. Both tables are there, with every column that the pair names.
    ///
    /// # Errors
    /// Columns that nothing can compare.
    pub fn of(pair: &Pair, shapes: &Shapes) -> Result<Option<Mapping>, Obstacle> {
        let Some(prisma) = shapes.get(&pair.prisma.table) else { return Ok(None) };
        let Some(mirror) = shapes.get(&pair.mirror.table) else { return Ok(Mapping::of_one_side(pair, prisma)) };
        let primary = [prisma.key.clone(), mirror.key.clone()];
        let Some(RowMapping { key, values, threshold_pct, over_rest }) = &pair.rows else {
            let key = shared_key(prisma, mirror);
            return Ok(key.map(|key| Mapping {
                unique: is_unique(&key, prisma, mirror),
                key,
                values: Vec::new(),
                threshold_pct: 0.0,
                named: false,
                over_rest: false,
                primary,
            }));
        };
        let compared = |columns: &[Columns]| -> Result<Vec<Compared>, Obstacle> {
            columns.iter().map(|columns| named(columns, (pair, prisma, mirror))).collect()
        };
        let (key, values) = (compared(key)?, compared(values)?);
        let unique = is_unique(&key, prisma, mirror);
        Ok(Some(Mapping {
            key,
            values,
            threshold_pct: *threshold_pct,
            named: true,
            over_rest: *over_rest,
            unique,
            primary,
        }))
    }

    /// Where the mirror is in another database: of the types of Prisma's columns.
    fn of_one_side(pair: &Pair, prisma: &Shape) -> Option<Mapping> {
        let RowMapping { key, values, threshold_pct, over_rest } = pair.rows.as_ref()?;
        let compared = |columns: &[Columns]| -> Option<Vec<Compared>> {
            let one = |columns: &Columns| {
                let common = alone(&prisma.columns.get(&columns.prisma)?.value);
                Some(Compared { columns: columns.clone(), common })
            };
            columns.iter().map(one).collect()
        };
        let primary = [prisma.key.clone(), Vec::new()];
        let (key, values) = (compared(key)?, compared(values)?);
        Some(Mapping {
            key,
            values,
            threshold_pct: *threshold_pct,
            named: true,
            over_rest: *over_rest,
            unique: false,
            primary,
        })
    }

    /// As sentences name it: `shopDomain` and `createdAt` of Prisma's side.
    pub fn by(&self) -> String {
        let columns = if self.key.is_empty() { &self.values } else { &self.key };
        columns.iter().map(|key| format!("`{}`", key.columns.prisma)).collect::<Vec<_>>().join(", ")
    }

    /// `in_one_database`: both sides are.
    pub fn how(&self, in_one_database: bool) -> How {
        match (in_one_database, self.key.is_empty()) {
            (false, _) => How::Segments,
            (true, true) => How::Hash,
            (true, false) => How::Join,
        }
    }

    /// The compared values, as Prisma's side calls them.
    pub fn value_names(&self) -> Vec<String> {
        self.values.iter().map(|value| value.columns.prisma.clone()).collect()
    }

    /// What a comparison by this cannot see.
    pub fn blind_spot(&self) -> Option<String> {
        match (self.named, self.key.is_empty()) {
            (false, _) => Some(format!(
                "rows are partners by {}, the key of both tables; whether their values are the same is not looked at unless `rows` names them",
                self.by()
            )),
            (true, true) => Some(
                "without a key a changed row is one missing and one too many: which became which is not seen"
                    .to_owned(),
            ),
            (true, false) => None,
        }
    }

    /// What partners are found by: the key, or all values where there is none.
    pub fn partners(&self) -> (&[Compared], &[Compared]) {
        if self.key.is_empty() { (&self.values, &[]) } else { (&self.key, &self.values) }
    }
}

impl Compared {
    pub fn expression(&self, which: Which) -> String {
        self.common.of(&escape_identifier(self.columns.of(which)))
    }
}

fn named(columns: &Columns, (pair, prisma, mirror): (&Pair, &Shape, &Shape)) -> Result<Compared, Obstacle> {
    let type_of = |shape: &Shape, name: &str| shape.columns.get(name).map(|column| column.value.clone());
    let types = type_of(prisma, &columns.prisma).zip(type_of(mirror, &columns.mirror));
    let common = types.as_ref().and_then(|(prisma, mirror)| common_type(prisma, mirror));
    let kinds = types.map_or_else(Default::default, |(prisma, mirror)| [prisma.name, mirror.name]);
    match common {
        Some(common) => Ok(Compared { columns: columns.clone(), common }),
        None => Err(Obstacle::Incomparable { pair: pair.name.clone(), columns: columns.clone(), kinds }),
    }
}

/// What is rounded or read otherwise to be compared may be the same where what is stored is not.
fn is_unique(key: &[Compared], prisma: &Shape, mirror: &Shape) -> bool {
    let of = |which| key.iter().map(move |key| key.columns.of(which).to_owned()).collect::<BTreeSet<_>>();
    let primary: BTreeSet<String> = prisma.key.iter().cloned().collect();
    !key.is_empty()
        && key.iter().all(|key| !key.common.cast)
        && of(Which::Prisma) == primary
        && prisma.unique.contains(&primary)
        && mirror.unique.contains(&of(Which::Mirror))
}

/// Prisma's primary key, where the mirror keeps columns of the same names and types unique and fills none of them by itself: two tables that
/// number their rows each for itself share no key.
fn shared_key(prisma: &Shape, mirror: &Shape) -> Option<Vec<Compared>> {
    let is_key = !prisma.key.is_empty() && mirror.unique.contains(&prisma.key.iter().cloned().collect());
    let both = |name: &String| {
        let (of_prisma, of_mirror) = (prisma.columns.get(name)?, mirror.columns.get(name)?);
        let certain = of_prisma.value.oid == of_mirror.value.oid && !of_mirror.filled;
        let common = common_type(&of_prisma.value, &of_mirror.value).filter(|_| certain)?;
        Some(Compared { columns: Columns { prisma: name.clone(), mirror: name.clone() }, common })
    };
    if is_key { prisma.key.iter().map(both).collect() } else { None }
}

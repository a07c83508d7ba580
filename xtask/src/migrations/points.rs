//! The catalogs of several points in a history. Neighbours are nearly the same, so of all but the newest only what the next one changed
//! is kept.

use crate::schema::catalog::{Catalog, Object, ObjectKey};

pub struct Points {
    newest: Catalog,
    /// Oldest first: what an object was, where the point after it has it otherwise.
    before: Vec<Vec<(ObjectKey, Option<Object>)>>,
}

impl Points {
    pub fn new(first: Catalog) -> Points {
        Points { newest: first, before: Vec::new() }
    }

    pub fn newest(&self) -> &Catalog {
        &self.newest
    }

    pub fn push(&mut self, next: Catalog) {
        let mut before = Vec::new();
        let mut earlier = std::mem::take(&mut self.newest.objects).into_iter().peekable();
        // Both are in the same order.
        for (key, object) in &next.objects {
            while let Some((gone, was)) = earlier.next_if(|(earlier, _)| earlier < key) {
                before.push((gone, Some(was)));
            }
            match earlier.next_if(|(earlier, _)| earlier == key) {
                Some((_, was)) if was == *object => {}
                Some((_, was)) => before.push((key.clone(), Some(was))),
                None => before.push((key.clone(), None)),
            }
        }
        before.extend(earlier.map(|(gone, was)| (gone, Some(was))));
        self.before.push(before);
        self.newest = next;
    }

    /// Forgets the newest. False: there is none before it.
    pub fn pop(&mut self) -> bool {
        let Some(before) = self.before.pop() else { return false };
        for (key, object) in before {
            match object {
                Some(object) => self.newest.objects.insert(key, object),
                None => self.newest.objects.remove(&key),
            };
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::server::Database;
    use crate::schema::catalog::catalog;

    #[test]
    fn every_point_comes_back_as_it_was() {
        let mut database = Database::new();
        let scripts = [
            "create table t (a int, b text)",
            "alter table t drop a, add c int default 1; create view v as select b from t",
            "drop view v; alter table t rename b to a; comment on table t is 'here'",
            "drop table t; create table u ()",
        ];
        let mut look = |sql: &str| {
            database.run(sql);
            catalog(&mut database.connection, &["public"]).unwrap()
        };
        let seen: Vec<Catalog> = scripts.map(&mut look).into();
        let mut points = Points::new(seen[0].clone());
        seen[1..].iter().cloned().for_each(|point| points.push(point));
        for catalog in seen.iter().skip(1).rev() {
            assert!(points.newest() == catalog && points.pop());
        }
        assert!(*points.newest() == seen[0] && !points.pop());
    }
}

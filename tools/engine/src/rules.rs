// SPDX-License-Identifier: GPL-2.0

//! N-tuple steering rules, grouped by mask for lookup.

use alloc::vec::Vec;

use toe_abi::rules::Rule;
use toe_abi::rules::Words;

/// Rules with the same mask.
struct Group {
    mask: Words,
    /// Sorted by value, then location.
    rules: Vec<Rule>,
}

/// A set of rules.
///
/// Lookup does one binary search per group, so its cost grows with the number of distinct masks,
/// which is small in practice, and not with the number of rules.
///
/// # Invariants
///
/// `all` is sorted by location and has at most one rule per location. No group is empty, and each
/// rule is in the group of its mask.
#[derive(Default)]
pub struct Rules {
    all: Vec<Rule>,
    groups: Vec<Group>,
}

impl Rules {
    /// Returns whether the set is empty.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// All rules, sorted by location.
    pub fn all(&self) -> &[Rule] {
        &self.all
    }

    /// Inserts a rule. Replaces the rule at the same location, if any.
    pub fn set(&mut self, rule: Rule) {
        self.remove(rule.location);
        let at = self.place(rule.location).unwrap_or_else(|at| at);
        self.all.insert(at, rule);
        let same = |group: &Group| group.mask == *rule.mask();
        let group = self.groups.iter().position(same).unwrap_or_else(|| {
            self.groups.push(Group {
                mask: *rule.mask(),
                rules: Vec::new(),
            });
            self.groups.len() - 1
        });
        let rules = &mut self.groups[group].rules;
        let order = |other: &Rule| (*other.value(), other.location);
        let at = rules.partition_point(|other| order(other) < order(&rule));
        rules.insert(at, rule);
    }

    /// Removes the rule at `location`, if any.
    pub fn remove(&mut self, location: u16) {
        let Ok(at) = self.place(location) else {
            return;
        };
        self.all.remove(at);
        for group in &mut self.groups {
            group.rules.retain(|rule| rule.location != location);
        }
        self.groups.retain(|group| !group.rules.is_empty());
    }

    fn place(&self, location: u16) -> Result<usize, usize> {
        self.all
            .binary_search_by_key(&location, |rule| rule.location)
    }

    /// The matching rule with the lowest location, if any.
    pub fn find(&self, headers: &Words) -> Option<&Rule> {
        let found = self.groups.iter().filter_map(|group| {
            let value = headers.masked(&group.mask);
            let at = group.rules.partition_point(|rule| *rule.value() < value);
            group.rules.get(at).filter(|rule| *rule.value() == value)
        });
        found.min_by_key(|rule| rule.location)
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use toe_abi::Layout;
    use toe_abi::rules::Action;
    use toe_abi::rules::Headers;
    use toe_abi::rules::Pattern;

    use super::*;

    /// Headers with few distinct values, so that rules match.
    fn headers() -> impl Strategy<Value = [u8; Headers::SIZE]> {
        (0u8..3, 0u8..3, 0u8..2).prop_map(|(port, protocol, version)| {
            let headers = Headers {
                destination_port: [0, port],
                protocol,
                version,
                ..Headers::default()
            };
            headers.to_bytes()
        })
    }

    fn mask() -> impl Strategy<Value = [u8; Headers::SIZE]> {
        any::<[bool; 3]>().prop_map(|[port, protocol, version]| {
            let byte = |set| if set { 0xff } else { 0 };
            let headers = Headers {
                destination_port: [byte(port); 2],
                protocol: byte(protocol),
                version: byte(version),
                ..Headers::default()
            };
            headers.to_bytes()
        })
    }

    proptest! {
        /// Lookup agrees with a linear search by location.
        #[test]
        fn the_lowest_location_counts(
            steps in vec((0u16..12, headers(), mask(), any::<bool>(), 0u8..4), 1..40),
            frames in vec(headers(), 8),
        ) {
            let mut rules = Rules::default();
            let mut model = alloc::collections::BTreeMap::new();
            for (location, value, mask, set, target) in steps {
                if set {
                    let pattern = Pattern { value, mask };
                    let rule = Rule::new(location, Action::Processor(target), &pattern);
                    rules.set(rule);
                    model.insert(location, rule);
                } else {
                    rules.remove(location);
                    model.remove(&location);
                }
                prop_assert!(rules.all().iter().eq(model.values()));
                for frame in &frames {
                    let words = Words::new(frame);
                    let first = model.values().find(|rule| rule.matches(&words));
                    prop_assert_eq!(rules.find(&words), first);
                }
            }
        }
    }
}

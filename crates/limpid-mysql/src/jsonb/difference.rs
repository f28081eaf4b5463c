//! Partial updates of a document.
//!
//! Owns: reading and applying them. Does not own: paths (`jsonb::path`), text (`jsonb::text`).
//!
//! Invariant: only containers that a path leads through leave the binary form, each once and paid for from the one
//! budget of `before` and `diffs`; an object's keys stay ordered as the server orders them, by length, then bytes.
//!
//! Source: `json_diff.cc` of the MySQL server, `Json_diff_vector::read_binary` and `apply_json_diffs`: an operation's
//! byte, a path behind its length, and but for removals a binary value behind its length.

use std::borrow::Cow;

use crate::bytes::Cursor;

use super::document::{Budget, Value};
use super::path::{self, Leg};
use super::text::{Form, Writer};

mod operation {
    pub const REPLACE: u8 = 0;
    pub const INSERT: u8 = 1;
    pub const REMOVE: u8 = 2;
}

pub(super) fn apply<F: Form>(before: &[u8], diffs: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut budget = Budget::of(before.len() + diffs.len());
    let mut document = Node::Stored(Value::root(before, &mut budget)?);
    let mut cur = Cursor::new(diffs);
    while cur.remaining() > 0 {
        let operation = cur.u8()?;
        let legs = path::parse(cur.lenenc_bytes()?)?;
        // The root is never replaced in part: such an update is logged whole.
        let (last, way) = legs.split_last()?;
        let parent = document.seek(way, &mut budget)?;
        match operation {
            operation::REPLACE => *parent.child(last, &mut budget)? = Node::read(&mut cur, &mut budget)?,
            operation::INSERT => {
                let value = Node::read(&mut cur, &mut budget)?;
                parent.insert(last, value, &mut budget)?;
            }
            operation::REMOVE => parent.remove(last, &mut budget)?,
            _ => return None,
        }
    }
    document.write(&mut Writer::<F>::new(out, budget), 0)
}

/// A part of the document that updates go through, or one that is still as stored.
enum Node<'a> {
    Stored(Value<'a>),
    Array(Vec<Self>),
    Object(Vec<(Cow<'a, [u8]>, Self)>),
}

impl<'a> Node<'a> {
    /// The value of a difference.
    fn read(cur: &mut Cursor<'a>, budget: &mut Budget) -> Option<Self> {
        let bytes = cur.lenenc_bytes().filter(|bytes| !bytes.is_empty())?;
        Value::root(bytes, budget).map(Self::Stored)
    }

    fn seek(&mut self, way: &[Leg<'_>], budget: &mut Budget) -> Option<&mut Self> {
        way.iter().try_fold(self, |node, leg| node.child(leg, budget))
    }

    fn child(&mut self, leg: &Leg<'_>, budget: &mut Budget) -> Option<&mut Self> {
        self.open(budget)?;
        match (self, leg) {
            (Self::Object(members), Leg::Member(name)) => {
                let found = place(members, name).ok()?;
                Some(&mut members[found].1)
            }
            (Self::Array(elements), Leg::Cell(_) | Leg::CellFromLast(_)) => {
                let index = leg.index(elements.len())?;
                elements.get_mut(index)
            }
            _ => None,
        }
    }

    /// A member that must be new, or an element: behind the end means at the end, before the start at the start.
    fn insert(&mut self, leg: &Leg<'_>, value: Self, budget: &mut Budget) -> Option<()> {
        self.open(budget)?;
        match (self, leg) {
            (Self::Object(members), Leg::Member(name)) => {
                let free = place(members, name).err()?;
                members.insert(free, (Cow::Owned(name.to_vec()), value));
            }
            (Self::Array(elements), Leg::Cell(_) | Leg::CellFromLast(_)) => {
                let index = leg.index(elements.len()).unwrap_or(0);
                elements.insert(index.min(elements.len()), value);
            }
            _ => return None,
        }
        Some(())
    }

    fn remove(&mut self, leg: &Leg<'_>, budget: &mut Budget) -> Option<()> {
        self.open(budget)?;
        match (self, leg) {
            (Self::Object(members), Leg::Member(name)) => {
                let found = place(members, name).ok()?;
                members.remove(found);
            }
            (Self::Array(elements), Leg::Cell(_) | Leg::CellFromLast(_)) => {
                let index = leg.index(elements.len()).filter(|index| *index < elements.len())?;
                elements.remove(index);
            }
            _ => return None,
        }
        Some(())
    }

    /// Takes a container out of the binary form, one level of it.
    fn open(&mut self, budget: &mut Budget) -> Option<()> {
        let opened = match self {
            Self::Array(_) | Self::Object(_) => return Some(()),
            Self::Stored(Value::Array(array)) => {
                let element = |index| array.value(index, budget).map(Self::Stored);
                Self::Array((0..array.count()).map(element).collect::<Option<_>>()?)
            }
            Self::Stored(Value::Object(object)) => {
                let member = |index| {
                    let key = Cow::Borrowed(object.key(index, budget)?);
                    Some((key, Self::Stored(object.value(index, budget)?)))
                };
                Self::Object((0..object.count()).map(member).collect::<Option<_>>()?)
            }
            Self::Stored(_) => return None,
        };
        *self = opened;
        Some(())
    }

    fn write<F: Form>(&self, writer: &mut Writer<'_, F>, depth: usize) -> Option<()> {
        match self {
            Self::Stored(value) => writer.value(*value, depth),
            Self::Array(elements) => writer
                .between(b'[', elements.len(), b']', depth, |writer, index| elements[index].write(writer, depth + 1)),
            Self::Object(members) => writer.between(b'{', members.len(), b'}', depth, |writer, index| {
                let (key, value) = &members[index];
                writer.key(key);
                value.write(writer, depth + 1)
            }),
        }
    }
}

/// Where a key is, or where it belongs.
fn place(members: &[(Cow<'_, [u8]>, Node<'_>)], name: &[u8]) -> Result<usize, usize> {
    members.binary_search_by(|(key, _)| key.len().cmp(&name.len()).then_with(|| key.as_ref().cmp(name)))
}

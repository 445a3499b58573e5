//! Work that waits for its time: one queue, in time order, per clock.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A task: which family's work, and on which object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// Name in a family's `work` table.
    pub work: String,
    /// Id of the object.
    pub subject: String,
}

/// The queue. Each work has at most one time per subject: scheduling it again moves it.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Due {
    /// Key: clock, time, order; as text of fixed width, so that it sorts.
    queue: BTreeMap<String, Task>,
    places: BTreeMap<String, String>,
    next: u64,
    #[serde(skip)]
    undo: Vec<(Task, Option<String>)>,
}

/// The sandbox-wide clock's name in keys; a test clock has its id.
fn key(clock: Option<&str>, at: i64, order: u64) -> String {
    format!("{}|{:020}|{order:020}", clock.unwrap_or_default(), at.max(0))
}

fn place(task: &Task) -> String {
    format!("{} {}", task.work, task.subject)
}

impl Due {
    /// Sets when the work on this subject is due.
    pub fn schedule(&mut self, clock: Option<&str>, at: i64, work: &str, subject: &str) {
        let task = Task {
            work: work.to_owned(),
            subject: subject.to_owned(),
        };
        let old = self.take(&task);
        self.next += 1;
        self.insert(key(clock, at, self.next), task.clone());
        self.undo.push((task, old));
    }

    /// It will not be done.
    pub fn unschedule(&mut self, work: &str, subject: &str) {
        let task = Task {
            work: work.to_owned(),
            subject: subject.to_owned(),
        };
        if let Some(old) = self.take(&task) {
            self.undo.push((task, Some(old)));
        }
    }

    /// When the work on this subject is due.
    #[must_use]
    pub fn due_at(&self, work: &str, subject: &str) -> Option<i64> {
        let key = self.places.get(&format!("{work} {subject}"))?;
        key.split('|').nth(1)?.parse().ok()
    }

    /// The earliest work of a clock that is due by then; it leaves the queue.
    pub(crate) fn pop(&mut self, clock: Option<&str>, by: i64) -> Option<(i64, Task)> {
        let (from, to) = (key(clock, 0, 0), key(clock, by, u64::MAX));
        let (key, task) = self.queue.range(from..=to).next()?;
        let at = key.split('|').nth(1)?.parse().ok()?;
        let task = task.clone();
        self.take(&task);
        Some((at, task))
    }

    /// Nothing of a clock will be done any more.
    pub(crate) fn forget_clock(&mut self, clock: &str) {
        let (from, to) = (key(Some(clock), 0, 0), key(Some(clock), i64::MAX, u64::MAX));
        let tasks: Vec<Task> = self.queue.range(from..=to).map(|(_, task)| task.clone()).collect();
        for task in tasks {
            self.unschedule(&task.work, &task.subject);
        }
    }

    fn take(&mut self, task: &Task) -> Option<String> {
        let key = self.places.remove(&place(task))?;
        self.queue.remove(&key);
        Some(key)
    }

    fn insert(&mut self, key: String, task: Task) {
        self.places.insert(place(&task), key.clone());
        self.queue.insert(key, task);
    }

    pub(crate) fn begin(&mut self) {
        self.undo.clear();
    }

    pub(crate) fn rollback(&mut self) {
        while let Some((task, old)) = self.undo.pop() {
            self.take(&task);
            if let Some(key) = old {
                self.insert(key, task);
            }
        }
    }
}

#[test]
fn work_comes_in_time_order_and_scheduling_again_moves_it() {
    let mut due = Due::default();
    due.schedule(None, 30, "a", "x");
    due.schedule(None, 20, "b", "x");
    due.schedule(Some("clock_1"), 1, "a", "y");
    due.schedule(None, 10, "a", "x");
    assert_eq!((due.due_at("a", "x"), due.due_at("b", "y")), (Some(10), None));
    due.begin();
    due.schedule(None, 5, "b", "x");
    due.unschedule("a", "y");
    due.rollback();
    let order: Vec<(i64, String)> = std::iter::from_fn(|| due.pop(None, 25))
        .map(|(at, task)| (at, task.work))
        .collect();
    assert_eq!(order, [(10, "a".to_owned()), (20, "b".to_owned())]);
    assert_eq!(due.pop(Some("clock_1"), 0), None);
    let subject = due.pop(Some("clock_1"), 1).map(|(_, task)| task.subject);
    assert_eq!(subject.as_deref(), Some("y"));
}

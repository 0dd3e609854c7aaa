//! What was learned, for as long as it holds; and what is being asked, for all who ask it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::OnceCell;
use tokio::time::Instant;

/// A small cache: a search asks a handful of names, again and again.
pub(super) struct Cache<K: Ord, V, E> {
    kept: Mutex<BTreeMap<K, (Instant, V)>>,
    asked: Asked<K, Result<V, E>>,
    limit: usize,
}

impl<K: Ord + Clone, V: Clone, E: Clone> Cache<K, V, E> {
    pub(super) fn new(limit: usize) -> Self {
        Self { kept: Mutex::default(), asked: Asked(Mutex::default()), limit }
    }

    /// What is kept; or else what `ask` brings, and for how long to keep it. Those who want it while
    /// it is being asked wait for the same answer; failures are not kept beyond that.
    ///
    /// Nothing is spawned: one of them asks, and if that one is dropped, the next begins anew.
    pub(super) async fn get_or_ask<A>(&self, key: K, ask: impl FnOnce() -> A) -> Result<V, E>
    where
        A: Future<Output = Result<(V, Duration), E>>,
    {
        if let Some(value) = self.get(&key) {
            return Ok(value);
        }
        let question = self.asked.join(&key);
        let asking = async || {
            // Boxed: many wait, and only one holds what it takes to ask.
            let learned = Box::pin(ask()).await.map(|(value, ttl)| {
                self.put(key.clone(), &value, ttl);
                value
            });
            self.asked.leave(&key, &question.cell);
            learned
        };
        question.cell.get_or_init(asking).await.clone()
    }

    fn get(&self, key: &K) -> Option<V> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, value) = kept.get(key)?;
        (Instant::now() < *until).then(|| value.clone())
    }

    /// Keeps `value` for `ttl`. When there is no room, first what is out of date goes, then anything.
    fn put(&self, key: K, value: &V, ttl: Duration) {
        let now = Instant::now();
        let Some(until) = now.checked_add(ttl).filter(|&until| until > now) else {
            return;
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= self.limit {
            kept.retain(|_, (until, _)| now < *until);
        }
        while kept.len() >= self.limit && kept.pop_first().is_some() {}
        kept.insert(key, (until, value.clone()));
    }
}

/// The questions that somebody waits for.
struct Asked<K: Ord, V>(Mutex<Waiting<K, V>>);

type Waiting<K, V> = BTreeMap<K, Weak<OnceCell<V>>>;

/// Somebody's part in a question.
struct Question<'a, K: Ord, V> {
    asked: &'a Asked<K, V>,
    key: K,
    cell: Arc<OnceCell<V>>,
}

impl<K: Ord + Clone, V> Asked<K, V> {
    fn join(&self, key: &K) -> Question<'_, K, V> {
        let mut waiting = self.lock();
        let cell = waiting.get(key).and_then(Weak::upgrade).unwrap_or_else(|| {
            let cell = Arc::default();
            waiting.insert(key.clone(), Arc::downgrade(&cell));
            cell
        });
        Question { asked: self, key: key.clone(), cell }
    }
}

impl<K: Ord, V> Asked<K, V> {
    /// Nobody joins this question any more.
    fn leave(&self, key: &K, cell: &Arc<OnceCell<V>>) {
        let mut waiting = self.lock();
        if waiting.get(key).is_some_and(|other| other.as_ptr() == Arc::as_ptr(cell)) {
            waiting.remove(key);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<K, V>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last one out forgets the question, so that only those are known that somebody waits for.
impl<K: Ord, V> Drop for Question<'_, K, V> {
    fn drop(&mut self) {
        if Arc::strong_count(&self.cell) == 1 {
            self.asked.leave(&self.key, &self.cell);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;

    use futures_util::FutureExt;
    use futures_util::future::join_all;

    use super::*;

    fn cache(limit: usize) -> Cache<&'static str, u32, &'static str> {
        Cache::new(limit)
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_who_want_the_same_at_once_ask_once() {
        let (cache, asked) = (cache(8), Cell::new(0));
        let ask = async || {
            asked.set(asked.get() + 1);
            tokio::time::sleep(Duration::from_millis(50)).await;
            Ok((7, Duration::ZERO))
        };
        let answers = join_all((0..1000).map(|_| cache.get_or_ask("a", ask))).await;
        assert_eq!((answers, asked.get()), (vec![Ok(7); 1000], 1));
        assert_eq!(cache.get_or_ask("a", ask).await, Ok(7));
        assert_eq!(asked.get(), 2, "an answer that holds for no time is not kept");
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_for_those_who_wait_and_for_nobody_after_them() {
        let (cache, asked) = (cache(8), Cell::new(0));
        let ask = async || {
            asked.set(asked.get() + 1);
            tokio::task::yield_now().await;
            Err("no")
        };
        let waiting = (0..9).map(|_| cache.get_or_ask("a", ask));
        assert_eq!((join_all(waiting).await, asked.get()), (vec![Err("no"); 9], 1));
        let answer = cache.get_or_ask("a", async || Ok((1, Duration::MAX))).await;
        assert_eq!(answer, Ok(1));
        assert!(cache.asked.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn if_the_one_who_asks_is_dropped_the_next_one_asks() {
        let cache = cache(8);
        let mut gone = Box::pin(cache.get_or_ask("a", pending));
        assert_eq!((&mut gone).now_or_never(), None);
        let mut next = Box::pin(cache.get_or_ask("a", async || Ok((2, Duration::MAX))));
        assert_eq!((&mut next).now_or_never(), None, "it waits");
        drop(gone);
        assert_eq!(next.await, Ok(2));

        let mut alone = Box::pin(cache.get_or_ask("b", pending));
        assert_eq!((&mut alone).now_or_never(), None);
        drop(alone);
        assert!(cache.asked.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_is_kept_for_its_time_and_no_longer() {
        let cache = cache(8);
        cache.put("a", &1, Duration::from_secs(60));
        cache.put("b", &2, Duration::ZERO);
        assert_eq!(cache.get(&"b"), None);
        tokio::time::advance(Duration::from_secs(59)).await;
        assert_eq!(cache.get(&"a"), Some(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(cache.get(&"a"), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_cache_gives_up_what_is_out_of_date_first() {
        let cache = cache(2);
        cache.put("a", &1, Duration::from_secs(60));
        cache.put("b", &2, Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(2)).await;
        cache.put("c", &3, Duration::from_secs(60));
        assert_eq!([cache.get(&"a"), cache.get(&"b"), cache.get(&"c")], [Some(1), None, Some(3)]);
        cache.put("d", &4, Duration::from_secs(60));
        assert_eq!(cache.kept.lock().unwrap().len(), 2);
        assert_eq!(cache.get(&"d"), Some(4));
    }
}

//! What was learned, for as long as it holds.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// A small cache: a search asks a handful of names, again and again.
pub(super) struct Cache<K, V> {
    kept: Mutex<BTreeMap<K, (Instant, V)>>,
    limit: usize,
}

impl<K: Ord, V: Clone> Cache<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { kept: Mutex::default(), limit }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, value) = kept.get(key)?;
        (Instant::now() < *until).then(|| value.clone())
    }

    /// Keeps `value` for `ttl`. When there is no room, first what is out of date goes, then anything.
    pub(super) fn put(&self, key: K, value: &V, ttl: Duration) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_value_is_kept_for_its_time_and_no_longer() {
        let cache = Cache::new(8);
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
        let cache = Cache::new(2);
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

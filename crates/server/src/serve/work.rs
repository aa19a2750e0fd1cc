//! The work of a request, on a thread for what blocks. Its permit belongs to the work, not to who
//! waits for it: a client that leaves gives its permit back only once its work has ended, and the
//! work ends early because the client left.

use std::sync::Arc;

use store::Work;
use tokio::task::JoinError;

use crate::request_metrics::RequestMetrics;

/// What happens to the work of a client that left.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum OnLeave {
    End,
    /// For a request that changes the log by what it reads there.
    GoOn,
}

/// Runs `answer` with its permit. Once the returned future is dropped, reads of the log in it end
/// early, if the work ends then.
pub(super) async fn run<P: Send + 'static, T: Send + 'static>(
    permit: P,
    counting_bytes_max: usize,
    requests: Arc<RequestMetrics>,
    on_leave: OnLeave,
    answer: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    let waiting = Arc::new(());
    let waiter = Arc::downgrade(&waiting);
    let is_awaited = move || waiter.strong_count() > 0;
    let is_wanted = is_awaited.clone();
    let work = Work::new(counting_bytes_max, move || on_leave == OnLeave::GoOn || is_wanted());
    let ended = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        let answer = work.run(answer);
        if !is_awaited() {
            requests.abandoned();
        }
        answer
    })
    .await;
    drop(waiting);
    ended
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn a_permit_is_given_back_when_the_work_ends_and_not_when_its_client_leaves() {
        let requests = Arc::new(RequestMetrics::new([]));
        let permits = Arc::new(Semaphore::new(1));
        let permit = Arc::clone(&permits).try_acquire_owned().expect("it is free");
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (go_on, goes_on) = mpsc::channel::<()>();
        let (ended, ends) = tokio::sync::oneshot::channel();
        let answer = move || {
            begun.send(()).expect("the test waits");
            goes_on.recv().expect("the test goes on");
            ended.send(()).expect("the test waits");
        };
        let mut work = Box::pin(run(permit, 1, Arc::clone(&requests), OnLeave::End, answer));
        tokio::select! {
            _ = &mut work => panic!("it ended by itself"),
            begun = begins => begun.expect("it begins"),
        }
        drop(work);
        assert_eq!(permits.available_permits(), 0, "the work goes on, so its permit is taken");
        go_on.send(()).expect("the work waits");
        ends.await.expect("it ends");
        let _permit = permits.acquire().await.expect("the permit comes back");
        assert_eq!(requests.abandoned_total(), 1);
    }
}

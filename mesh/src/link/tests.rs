//! Links in memory: what passes, what is refused, and what a wire does.

use std::time::Duration;

use bytes::Bytes;

use super::memory::Wire;
use super::*;
use crate::guard::{Guard, Guards};
use crate::pace::Pace;
use crate::stage::{Hand, secret, settled, soon};

fn pair(clock: &Hand, limits: Limits, guards: Guards) -> (Link, Link) {
    let wire = Wire::new(clock.seam());
    let (near, far) =
        wire.strangers(secret(1).key(), secret(2).key(), Lane::Control, limits, [Guards::default(), guards]);
    near.admit(&limits);
    far.admit(&limits);
    (near, far)
}

#[tokio::test]
async fn an_exchange_goes_both_ways_and_ends() {
    let clock = Hand::new();
    let (near, far) = pair(&clock, Limits::default(), Guards::default());
    let (mut send, mut recv) = soon(near.open(b"question")).await.unwrap();
    send.send(Bytes::from(vec![7; 200_000])).await.unwrap();
    send.finish().await.unwrap();
    let mut exchange = soon(far.accept()).await.unwrap();
    assert_eq!(exchange.head, "question");
    assert_eq!(soon(exchange.recv.next()).await.unwrap().unwrap().len(), 200_000);
    assert_eq!(soon(exchange.recv.next()).await, Ok(None));
    exchange.send.send(Bytes::from_static(b"answer")).await.unwrap();
    assert_eq!(soon(recv.next()).await.unwrap().unwrap(), "answer");
    drop(exchange.send);
    assert_eq!(soon(recv.next()).await, Err(Broken::Reset), "dropped is not finished");
    far.close(Code::DROPPED);
    assert_eq!(soon(near.closed()).await, End::Theirs(Code::DROPPED));
    assert_eq!(near.open(b"more").await.map(drop), Err(Broken::Ended(End::Theirs(Code::DROPPED))));
    assert_eq!((near.peer(), far.peer()), (secret(2).key(), secret(1).key()));
}

#[tokio::test]
async fn a_wire_holds_back_and_delays_and_loses_nothing() {
    let clock = Hand::new();
    let wire = Wire::new(clock.seam());
    let (near, far) = wire.link(secret(1).key(), secret(2).key(), Lane::Control, Limits::default());
    wire.delay(Duration::from_millis(50));
    let (mut send, _recv) = soon(near.open(b"head")).await.unwrap();
    settled().await;
    clock.advance(Duration::from_millis(50));
    let mut exchange = soon(far.accept()).await.unwrap();
    wire.delay(Duration::ZERO);
    wire.cut();
    send.send(Bytes::from_static(b"held back")).await.unwrap();
    tokio::select! {
        biased;
        got = exchange.recv.next() => panic!("{got:?} came through a cut wire"),
        () = settled() => {}
    }
    wire.mend();
    assert_eq!(soon(exchange.recv.next()).await.unwrap().unwrap(), "held back");
}

/// How many of the frames a peer sends at once are read while the clock stands still.
async fn read_of_a_flood(guards: Guards) -> usize {
    let clock = Hand::new();
    let limits = Limits { frame_pace: Pace { per_second: 100, burst: 20 }, ..Limits::default() };
    let (near, far) = pair(&clock, limits, guards);
    let (mut send, _recv) = soon(near.open(b"flood")).await.unwrap();
    let mut exchange = soon(far.accept()).await.unwrap();
    let mut read = 0;
    let reading = async {
        while exchange.recv.next().await.unwrap().is_some() {
            read += 1;
        }
    };
    let flooding = async {
        for _ in 0..500 {
            send.send(Bytes::from_static(&[1])).await.unwrap();
        }
        send.finish().await.unwrap();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = reading => {}
        () = flooding => {}
        () = settled() => {}
    }
    read
}

#[tokio::test]
async fn a_flood_of_frames_is_read_at_a_pace() {
    let read = read_of_a_flood(Guards::default()).await;
    assert_eq!(read, 19, "the head is one of the 20");
    assert_eq!(read_of_a_flood(Guards::without(&[Guard::FramePace])).await, 500);
}

/// How many streams a peer gets taken in that opens and drops them, while the clock stands still.
async fn taken_of_many(guards: Guards) -> usize {
    let clock = Hand::new();
    let limits = Limits { stream_pace: Pace { per_second: 10, burst: 30 }, ..Limits::default() };
    let (near, far) = pair(&clock, limits, guards);
    let mut taken = 0;
    let taking = async {
        while far.accept().await.is_ok() {
            taken += 1;
        }
    };
    let opening = async {
        for _ in 0..200 {
            drop(near.open(b"again").await);
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = taking => {}
        () = opening => {}
        () = settled() => {}
    }
    taken
}

#[tokio::test]
async fn streams_opened_over_and_over_are_taken_at_a_pace() {
    let taken = taken_of_many(Guards::default()).await;
    assert!((1..=30).contains(&taken), "{taken}");
    let without = taken_of_many(Guards::without(&[Guard::StreamPace])).await;
    assert!(without > 100, "{without}");
}

/// How many streams a peer can hold open.
async fn held_open(guards: Guards) -> usize {
    let limits = Limits { streams: 8, ..Limits::default() };
    let (near, far) = pair(&Hand::new(), limits, guards);
    let (mut open, mut taken) = (Vec::new(), Vec::new());
    let opening = async {
        for _ in 0..100 {
            open.push(near.open(b"held").await.unwrap());
        }
        std::future::pending::<()>().await;
    };
    let taking = async {
        while let Ok(exchange) = far.accept().await {
            taken.push(exchange);
        }
    };
    tokio::select! {
        () = opening => {}
        () = taking => {}
        () = settled() => {}
    }
    taken.len()
}

#[tokio::test]
async fn no_more_streams_are_open_than_allowed() {
    assert_eq!(held_open(Guards::default()).await, 8);
    assert_eq!(held_open(Guards::without(&[Guard::Streams])).await, 100);
}

/// How often a peer that never stops can send 100 kB to a reader that wants 1 MB in all.
async fn endless(guards: Guards) -> (usize, Result<(), Broken>) {
    let (near, far) = pair(&Hand::new(), Limits::default(), guards);
    let (mut send, _recv) = soon(near.open(b"endless")).await.unwrap();
    let mut exchange = soon(far.accept()).await.unwrap();
    exchange.recv.allow(1_000_000);
    let sending = async {
        while send.send(Bytes::from(vec![0; 100_000])).await.is_ok() {}
        std::future::pending::<()>().await;
    };
    let mut read = 0;
    let reading = async {
        while read < 100 {
            exchange.recv.next().await?;
            read += 1;
        }
        Ok(())
    };
    let how = tokio::select! {
        how = soon(reading) => how,
        () = sending => Ok(()),
    };
    (read, how)
}

#[tokio::test]
async fn a_stream_without_end_is_read_up_to_what_was_allowed() {
    assert_eq!(endless(Guards::default()).await, (9, Err(BadFrame::Endless.into())));
    assert_eq!(endless(Guards::without(&[Guard::Budget])).await, (100, Ok(())));
}

/// What becomes of a sender whose peer reads nothing, once time has passed: how many frames it got rid of, and how.
async fn unread(guards: Guards) -> (usize, Option<Broken>) {
    let clock = Hand::new();
    let (near, far) = pair(&clock, Limits::default(), guards);
    // The far side is the one guarded here: it answers, and the near one does not read.
    let (_send, _recv) = soon(near.open(b"give me everything")).await.unwrap();
    let mut exchange = soon(far.accept()).await.unwrap();
    let mut sent = 0;
    let sending = async {
        loop {
            match exchange.send.send(Bytes::from(vec![0; 16 * 1024])).await {
                Ok(()) => sent += 1,
                Err(why) => return why,
            }
        }
    };
    let passing = async {
        settled().await;
        clock.advance(STALL_TIME);
        settled().await;
    };
    let how = tokio::select! {
        why = sending => Some(why),
        () = passing => None,
    };
    (sent, how)
}

#[tokio::test]
async fn a_peer_that_reads_nothing_holds_little_and_not_for_ever() {
    let (sent, how) = unread(Guards::default()).await;
    assert!(sent <= 16, "{sent} frames of 16 KiB");
    assert_eq!(how, Some(Broken::Stalled));
    assert_eq!(unread(Guards::without(&[Guard::Stall])).await.1, None, "it waits for ever");
}

#[tokio::test]
async fn a_head_that_is_too_long_or_never_comes_reaches_nobody() {
    let clock = Hand::new();
    let (near, far) = pair(&clock, Limits { streams: 1, ..Limits::default() }, Guards::default());
    assert_eq!(near.open(&[0; MAX_HEAD + 1]).await.map(drop), Err(Broken::Unsendable));
    let Carrier::Memory(carrier) = &near.0.carrier else { panic!("memory") };
    let silent = soon(carrier.open()).await.unwrap();
    settled().await;
    clock.advance(HEAD_TIME);
    // The only place is given back, so another stream gets through.
    let _open = soon(near.open(b"after")).await.unwrap();
    assert_eq!(soon(far.accept()).await.unwrap().head, "after");
    drop(silent);
}

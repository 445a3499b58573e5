//! What a command means for an account with a history, as a test says it:
//! `given(events).when(command).then(&[events])`.

use crate::subscription::{
    AccountState, Decision, NoPlans, PriceBook, Refresh, Rejection, SubscriptionCommand, SubscriptionEvent, decide,
};

/// An account with these events.
#[must_use]
pub fn given<'a>(events: impl IntoIterator<Item = &'a SubscriptionEvent>) -> Given {
    Given {
        state: AccountState::of(events),
    }
}

/// An account before a command.
#[derive(Clone, Debug)]
pub struct Given {
    /// Its state.
    pub state: AccountState,
}

impl Given {
    /// Decides a command without a catalogue.
    #[must_use]
    pub fn when(self, command: &SubscriptionCommand) -> Decided {
        self.when_priced(command, &NoPlans)
    }

    /// Decides a command with a catalogue.
    #[must_use]
    pub fn when_priced(self, command: &SubscriptionCommand, prices: &dyn PriceBook) -> Decided {
        let outcome = decide(&self.state, command, prices);
        Decided {
            state: self.state,
            outcome,
        }
    }
}

/// An account after a command.
#[derive(Clone, Debug)]
pub struct Decided {
    /// Its state before the command.
    pub state: AccountState,
    /// What was decided.
    pub outcome: Result<Decision, Rejection>,
}

impl Decided {
    /// These events, in this order.
    ///
    /// # Panics
    /// When something else was decided.
    pub fn then(&self, events: &[SubscriptionEvent]) {
        assert_eq!(self.events(), events, "{:?}", self.outcome);
    }

    /// Events of these names, in this order.
    ///
    /// # Panics
    /// When something else was decided.
    pub fn then_names(&self, names: &[&str]) {
        let decided: Vec<&str> = self.events().iter().map(SubscriptionEvent::name).collect();
        assert_eq!(decided, names, "{:?}", self.outcome);
    }

    /// This refusal.
    ///
    /// # Panics
    /// When something else was decided.
    pub fn then_rejected(&self, rejection: &Rejection) {
        assert_eq!(self.outcome.as_ref().err(), Some(rejection));
    }

    /// The events decided, if any.
    #[must_use]
    pub fn events(&self) -> &[SubscriptionEvent] {
        match &self.outcome {
            Ok(Decision::Record { events, .. }) => events,
            Ok(Decision::AlreadyApplied | Decision::Superseded) | Err(_) => &[],
        }
    }

    /// What Stripe is asked for.
    #[must_use]
    pub fn refresh(&self) -> &[Refresh] {
        match &self.outcome {
            Ok(Decision::Record { refresh, .. }) => refresh,
            Ok(Decision::AlreadyApplied | Decision::Superseded) | Err(_) => &[],
        }
    }

    /// The account with the decided events, before the next command.
    #[must_use]
    pub fn and(self) -> Given {
        let mut state = self.state.clone();
        for event in self.events() {
            state.evolve(event);
        }
        Given { state }
    }
}

//! Kinds that a cluster may be without: their definitions come and go with the software that brings
//! them. Pure.

/// Why a kind cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The API server does not know it (404).
    NotServed,
    /// The agent may not see it (403).
    Forbidden,
}

impl Refusal {
    /// What the code of an answer means.
    pub fn of(code: u16) -> Option<Self> {
        match code {
            404 => Some(Self::NotServed),
            403 => Some(Self::Forbidden),
            _ => None,
        }
    }
}

/// What has been found out about such a kind.
#[derive(Debug, Default)]
pub struct Absence {
    last: Option<Refusal>,
    told: Told,
}

/// What the last list of it said.
#[derive(Debug, Default)]
enum Told {
    #[default]
    Nothing,
    Listed,
    Empty,
}

/// What to make of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// It has not been told yet.
    pub is_news: bool,
    /// A complete list without any object is to be told.
    pub is_empty: bool,
}

impl Absence {
    /// Notes a refusal.
    ///
    /// At first there is no reason to wait for such a kind. But what has been there is gone only if
    /// the API server says so twice, as one that is starting may not know all its kinds yet; and
    /// that the agent may no longer see it does not mean that it is gone.
    pub fn refused(&mut self, refusal: Refusal) -> Verdict {
        let again = self.last.replace(refusal) == Some(refusal);
        let is_empty = match self.told {
            Told::Nothing => true,
            Told::Listed => again && refusal == Refusal::NotServed,
            Told::Empty => false,
        };
        if is_empty {
            self.told = Told::Empty;
        }
        Verdict {
            is_news: !again,
            is_empty,
        }
    }

    /// Notes that a list is complete; true if it had been refused before.
    pub fn listed(&mut self) -> bool {
        self.told = Told::Listed;
        self.last.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEWS: Verdict = Verdict {
        is_news: true,
        is_empty: false,
    };
    const EMPTY: Verdict = Verdict {
        is_news: false,
        is_empty: true,
    };
    const BOTH: Verdict = Verdict {
        is_news: true,
        is_empty: true,
    };
    const NEITHER: Verdict = Verdict {
        is_news: false,
        is_empty: false,
    };

    #[test]
    fn what_was_never_there_is_empty_at_once_and_told_once() {
        for refusal in [Refusal::NotServed, Refusal::Forbidden] {
            let mut absence = Absence::default();
            assert_eq!(absence.refused(refusal), BOTH);
            assert_eq!(absence.refused(refusal), NEITHER);
            assert_eq!(absence.refused(refusal), NEITHER);
        }
    }

    #[test]
    fn what_was_there_is_gone_when_it_is_missed_twice() {
        let mut absence = Absence::default();
        assert!(!absence.listed());
        assert_eq!(absence.refused(Refusal::NotServed), NEWS);
        assert_eq!(absence.refused(Refusal::NotServed), EMPTY);
        assert_eq!(absence.refused(Refusal::NotServed), NEITHER);
    }

    #[test]
    fn what_was_there_and_may_not_be_seen_stays() {
        let mut absence = Absence::default();
        absence.listed();
        assert_eq!(absence.refused(Refusal::Forbidden), NEWS);
        assert_eq!(absence.refused(Refusal::Forbidden), NEITHER);
    }

    #[test]
    fn what_comes_back_is_as_if_it_had_never_been_away() {
        let mut absence = Absence::default();
        absence.refused(Refusal::NotServed);
        assert!(absence.listed());
        assert!(!absence.listed());
        assert_eq!(absence.refused(Refusal::NotServed), NEWS);
    }
}

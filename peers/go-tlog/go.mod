// Module of the peer that checks a log with the Go team's verifier.
module daybook/peers/go-tlog

go 1.23.0

require golang.org/x/mod v0.24.0

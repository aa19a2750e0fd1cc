// Sends two events to Daybook and reads them back.
package main

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"time"
)

const attempts = 10

var client = http.Client{Timeout: time.Minute}

// event makes an event in the form of CloudEvents 1.0. Its id stays the same however often it is
// sent.
func event(kind, subject string, data map[string]string) map[string]any {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		log.Fatal(err)
	}
	return map[string]any{
		"specversion": "1.0",
		"id":          fmt.Sprintf("%x", id),
		"source":      "/examples/go",
		"type":        kind,
		"subject":     subject,
		"time":        time.Now().UTC().Format(time.RFC3339Nano),
		"actor":       "alice",
		"data":        data,
	}
}

// do sends a request and returns the status, the body, and how long to wait before another try.
func do(method, path string, header http.Header, body []byte) (int, []byte, time.Duration, error) {
	request, err := http.NewRequest(method, os.Getenv("AUDIT_URL")+path, bytes.NewReader(body))
	if err != nil {
		log.Fatal(err)
	}
	request.Header = header
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, 0, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	seconds, _ := strconv.Atoi(response.Header.Get("Retry-After"))
	return response.StatusCode, answer, time.Duration(seconds) * time.Second, err
}

// send sends events until they are recorded, and returns the response.
func send(events []map[string]any) []byte {
	body, err := json.Marshal(events)
	if err != nil {
		log.Fatal(err)
	}
	header := http.Header{
		"Authorization": {"Bearer " + os.Getenv("AUDIT_SOURCE_TOKEN")},
		"Content-Type":  {"application/cloudevents-batch+json"},
	}
	pause := time.Second
	for attempt := 0; attempt < attempts; attempt++ {
		status, answer, wait, err := do("POST", "/intake/apps", header, body)
		switch {
		case err != nil:
			log.Printf("no answer (%v); trying again", err)
		case status == http.StatusOK:
			return answer
		case status != http.StatusRequestTimeout && status != http.StatusServiceUnavailable:
			log.Fatalf("refused with %d: %s", status, answer)
		}
		time.Sleep(max(wait, pause))
		pause = min(2*pause, 30*time.Second)
	}
	log.Fatalf("not recorded after %d attempts", attempts)
	return nil
}

func main() {
	var sent struct {
		Recorded   int  `json:"recorded"`
		FirstIndex *int `json:"first_index"`
	}
	answer := send([]map[string]any{
		event("com.example.invoice.updated", "invoices/17", map[string]string{"outcome": "success"}),
		event("com.example.invoice.deleted", "invoices/17", map[string]string{"outcome": "denied"}),
	})
	if err := json.Unmarshal(answer, &sent); err != nil || sent.FirstIndex == nil {
		log.Fatalf("nothing was recorded: %s", answer)
	}
	fmt.Printf("recorded %d, from index %d\n", sent.Recorded, *sent.FirstIndex)

	var page struct {
		Events []struct {
			OccurredAt string `json:"occurred_at"`
			Action     string
			Resource   struct{ Name string }
			Outcome    struct{ Result string }
		}
	}
	header := http.Header{"X-Auth-Token": {os.Getenv("AUDIT_TOKEN")}}
	target := "/api/v1/events?instance=apps&actor=alice&limit=2"
	status, answer, _, err := do("GET", target, header, nil)
	if err != nil || status != http.StatusOK {
		log.Fatalf("not read: %d %s %v", status, answer, err)
	}
	if err := json.Unmarshal(answer, &page); err != nil {
		log.Fatal(err)
	}
	for _, row := range page.Events {
		fmt.Println(row.OccurredAt, row.Action, row.Resource.Name, row.Outcome.Result)
	}
}

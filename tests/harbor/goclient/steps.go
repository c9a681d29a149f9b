package main

// How steps are taken and answers looked at: a session remembers the last answer as it came over the wire, because
// the client shows neither the status of a success nor the headers its description leaves out.

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-openapi/runtime"
	httptransport "github.com/go-openapi/runtime/client"
	"github.com/go-openapi/strfmt"
	"github.com/goharbor/go-client/pkg/sdk/v2.0/client"
)

// A machine that is busy with other stories answers late; one that hangs must not hang the story.
const patience = 30 * time.Second

var ctx = context.Background()

// walk is one run: the sessions and the count of steps.
type walk struct {
	address         string
	name, password  string
	admin, stranger *session
	passed, failed  int
}

// session is a client with credentials of its own.
type session struct {
	*client.HarborAPI
	wire *wire
}

// wire remembers the last answer.
type wire struct {
	under  http.RoundTripper
	asked  string
	status int
	header http.Header
	body   []byte
}

// RoundTrip passes on and remembers.
func (w *wire) RoundTrip(request *http.Request) (*http.Response, error) {
	w.asked, w.status, w.header, w.body = request.Method+" "+request.URL.RequestURI(), 0, nil, nil
	answer, err := w.under.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(answer.Body)
	answer.Body.Close()
	if err != nil {
		return nil, err
	}
	w.status, w.header, w.body = answer.StatusCode, answer.Header, body
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, nil
}

// open makes a session; without a user it sends no credentials.
func open(address, user, password string) *session {
	where, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	// Proxies of the machine take no part.
	wire := &wire{under: &http.Transport{ResponseHeaderTimeout: patience}}
	var auth runtime.ClientAuthInfoWriter
	if user != "" {
		auth = httptransport.BasicAuth(user, password)
	}
	base := &url.URL{Scheme: where.Scheme, Host: where.Host, Path: client.DefaultBasePath}
	api := client.New(client.Config{URL: base, Transport: wire, AuthInfo: auth})
	api.Transport.(*httptransport.Runtime).Formats = strfmt.Default
	return &session{HarborAPI: api, wire: wire}
}

// raw sends what the client can not: bad bodies, other paths. It remembers the answer as the client's calls do.
func (w *walk) raw(user, password, method, path, body string) *session {
	s := &session{wire: &wire{under: &http.Transport{ResponseHeaderTimeout: patience}}}
	request, err := http.NewRequest(method, strings.TrimSuffix(w.address, "/")+path, strings.NewReader(body))
	if err != nil {
		panic(err)
	}
	if user != "" {
		request.SetBasicAuth(user, password)
	}
	request.Header.Set("Content-Type", "application/json")
	if answer, err := s.wire.RoundTrip(request); err == nil {
		answer.Body.Close()
	}
	return s
}

// refusal ends a step.
type refusal struct{ what string }

// step is what a step's checks are made on.
type step struct{}

// step takes one step, prints how it went, and never ends the program.
func (w *walk) step(name string, body func(*step)) {
	defer func() {
		switch what := recover().(type) {
		case nil:
			w.passed++
			fmt.Println("ok", name)
		case refusal:
			w.failed++
			fmt.Printf("FAIL %s: %s\n", name, what.what)
		default:
			// What an earlier step should have brought is not there.
			w.failed++
			fmt.Printf("FAIL %s: %v\n", name, what)
		}
	}()
	body(&step{})
}

// that ends the step unless `holds`.
func (*step) that(holds bool, format string, values ...any) {
	if !holds {
		panic(refusal{oneLine(fmt.Sprintf(format, values...))})
	}
}

// same ends the step unless the two are equal.
func same[T comparable](t *step, what string, got, want T) {
	t.that(got == want, "%s is %v, not %v", what, got, want)
}

// answered ends the step unless the last answer had one of these statuses, and a body that the client understood; of a
// refusal, one in Harbor's shape.
func (t *step) answered(s *session, err error, statuses ...int) {
	found := false
	for _, status := range statuses {
		found = found || s.wire.status == status
	}
	if !found && s.wire.status == 0 {
		t.that(false, "%s: no answer: %v", s.wire.asked, err)
	}
	t.that(found, "%s: status %d, not %v; body %.300s", s.wire.asked, s.wire.status, statuses, s.wire.body)
	if s.wire.status < 300 {
		t.that(err == nil, "%s: the client does not understand the answer: %v; body %.300s", s.wire.asked, err, s.wire.body)
		return
	}
	if strings.HasPrefix(s.wire.asked, "HEAD ") {
		return
	}
	var refused struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	decoded := json.Unmarshal(s.wire.body, &refused)
	t.that(decoded == nil && len(refused.Errors) > 0 && refused.Errors[0].Code != "" && refused.Errors[0].Message != "",
		"%s: the refusal (%d) is not of Harbor's shape: %.300s", s.wire.asked, s.wire.status, s.wire.body)
	kind := s.wire.header.Get("Content-Type")
	t.that(strings.HasPrefix(kind, "application/json"), "%s: a refusal of type %q", s.wire.asked, kind)
}

// code is the first code of a refusal.
func (s *session) code() string {
	var refused struct {
		Errors []struct {
			Code string `json:"code"`
		} `json:"errors"`
	}
	if json.Unmarshal(s.wire.body, &refused) != nil || len(refused.Errors) == 0 {
		return ""
	}
	return refused.Errors[0].Code
}

// total is the X-Total-Count of the last answer, which must be there.
func (t *step) total(s *session) int64 {
	text := s.wire.header.Get("X-Total-Count")
	total, err := strconv.ParseInt(text, 10, 64)
	t.that(err == nil, "%s: X-Total-Count is %q", s.wire.asked, text)
	return total
}

// located is the number at the end of the last answer's Location, which must begin with `under`.
func (t *step) located(s *session, under string) int64 {
	location := s.wire.header.Get("Location")
	t.that(strings.HasPrefix(location, under), "Location is %q, not under %s", location, under)
	id, err := strconv.ParseInt(strings.TrimPrefix(location, under), 10, 64)
	t.that(err == nil && id > 0, "Location %q does not end in an id", location)
	return id
}

// link is the target of the last answer's link of that relation, empty when there is none.
func (s *session) link(relation string) string {
	for _, one := range strings.Split(s.wire.header.Get("Link"), ",") {
		if strings.Contains(one, `rel="`+relation+`"`) {
			from, to := strings.Index(one, "<"), strings.Index(one, ">")
			if from >= 0 && to > from {
				return one[from+1 : to]
			}
		}
	}
	return ""
}

// jsonList ends the step unless the last body is a JSON list: an empty one is `[]`, never `null`.
func (t *step) jsonList(s *session) {
	body := strings.TrimSpace(string(s.wire.body))
	t.that(strings.HasPrefix(body, "["), "%s: not a list: %.100s", s.wire.asked, body)
}

// eventually tries for a few seconds: what happens beside a request may be seen a moment later.
func eventually(holds func() bool) bool {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if holds() {
			return true
		}
	}
	return holds()
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func of[T any](value T) *T { return &value }

func has[T any](list []T, is func(T) bool) bool {
	for _, one := range list {
		if is(one) {
			return true
		}
	}
	return false
}

// dated says whether a time was given at all.
func dated(at strfmt.DateTime) bool { return !time.Time(at).IsZero() && time.Time(at).Unix() > 0 }

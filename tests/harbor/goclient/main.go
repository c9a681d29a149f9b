// Command harbor-goclient walks through Harbor's API with Harbor's own Go client, as its users do, against any server
// that claims to speak it. It owns nothing but what it creates there, and takes that away again.
//
// Each step prints `ok STEP` or `FAIL STEP: …`; it goes on after a failure. The last line is `N passed, M failed`, and
// the exit code is 1 when anything failed. What it expects of an answer was read in Harbor's handlers, not in its
// documentation.
//
// The environment says where and as whom, and what was pushed before:
//
//	HARBOR_URL, HARBOR_USER, HARBOR_PASSWORD
//	HARBOR_PROJECT      an existing private project with exactly one repository
//	HARBOR_REPOSITORY   that repository, without the project; with a slash in it
//	HARBOR_TAGS         two tags of one image, with a comma between them
//	HARBOR_IMAGE        the digest of that image, whose config has a history
//	HARBOR_INDEX_TAG    a tag of an index over that image and a second, untagged one
//	HARBOR_INDEX        the digest of that index
//	HARBOR_ACCESSORY    the digest of a manifest whose subject is the image
package main

import (
	"fmt"
	"os"
	"strings"
)

// pushed is what the story pushed before it started this program.
type pushed struct {
	project, repository string
	tags                []string
	image               string
	indexTag, index     string
	accessory           string
}

func main() {
	given := map[string]string{}
	for _, name := range []string{
		"HARBOR_URL", "HARBOR_USER", "HARBOR_PASSWORD", "HARBOR_PROJECT", "HARBOR_REPOSITORY", "HARBOR_TAGS",
		"HARBOR_IMAGE", "HARBOR_INDEX_TAG", "HARBOR_INDEX", "HARBOR_ACCESSORY",
	} {
		if given[name] = os.Getenv(name); given[name] == "" {
			fmt.Fprintln(os.Stderr, name, "is not set")
			os.Exit(2)
		}
	}
	there := pushed{
		project:    given["HARBOR_PROJECT"],
		repository: given["HARBOR_REPOSITORY"],
		tags:       strings.Split(given["HARBOR_TAGS"], ","),
		image:      given["HARBOR_IMAGE"],
		indexTag:   given["HARBOR_INDEX_TAG"],
		index:      given["HARBOR_INDEX"],
		accessory:  given["HARBOR_ACCESSORY"],
	}
	walk := &walk{
		address:  given["HARBOR_URL"],
		admin:    open(given["HARBOR_URL"], given["HARBOR_USER"], given["HARBOR_PASSWORD"]),
		stranger: open(given["HARBOR_URL"], "", ""),
	}
	walk.name, walk.password = given["HARBOR_USER"], given["HARBOR_PASSWORD"]

	walk.system()
	walk.projects()
	walk.metadata()
	walk.users()
	walk.groups()
	walk.members()
	walk.repositories(there)
	walk.artifacts(there)
	walk.tags(there)
	walk.labels(there)
	walk.robots(there)
	walk.quotas()
	walk.configuration()
	walk.audit(there)
	walk.purge()
	walk.deletions(there)

	fmt.Printf("%d passed, %d failed\n", walk.passed, walk.failed)
	if walk.failed > 0 {
		os.Exit(1)
	}
}

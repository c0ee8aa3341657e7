package signoff

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// settings are where the server is, and what this process trusts. Each comes from an option, else from
// the environment, else from the user's home file.
type settings struct {
	url, token, ca, keys, audience string
}

// homeFileBytesMax is the size of the largest home file, in bytes.
const homeFileBytesMax = 1 << 20

// completed fills the settings that no option set.
func (s settings) completed() (settings, error) {
	first := func(place *string, variable string) {
		if *place == "" {
			*place = os.Getenv(variable)
		}
	}
	first(&s.url, "SIGNOFF_SERVER")
	first(&s.token, "SIGNOFF_TOKEN")
	first(&s.ca, "SIGNOFF_CA")
	first(&s.keys, "SIGNOFF_KEYS")
	first(&s.audience, "SIGNOFF_AUDIENCE")
	home, err := readHome()
	if err != nil {
		return s, err
	}
	or := func(place *string, value string) {
		if *place == "" {
			*place = value
		}
	}
	or(&s.url, home.url)
	// Token and authorities of the file are for the server of the file, and for no other.
	if home.url != "" && home.url == s.url {
		or(&s.token, home.token)
		or(&s.ca, home.ca)
	}
	or(&s.keys, home.keys)
	or(&s.audience, home.audience)
	return s, nil
}

// readHome reads `client.json` in the user's folder, if there is one.
func readHome() (settings, error) {
	folder := os.Getenv("XDG_CONFIG_HOME")
	if !filepath.IsAbs(folder) {
		home, err := os.UserHomeDir()
		if err != nil {
			return settings{}, nil
		}
		folder = filepath.Join(home, ".config")
	}
	folder = filepath.Join(folder, "signoff")
	path := filepath.Join(folder, "client.json")
	text, err := readPrivate(path, homeFileBytesMax)
	if errors.Is(err, fs.ErrNotExist) {
		return settings{}, nil
	}
	if err != nil {
		return settings{}, newError("request-invalid", "the settings file `%s`: %v", path, err).because(err)
	}
	var read struct {
		Server   string `json:"server"`
		Token    string `json:"token"`
		CA       string `json:"ca"`
		Keys     string `json:"keys"`
		Audience string `json:"audience"`
	}
	if err := json.Unmarshal(text, &read); err != nil {
		// Without the decoder's message, which may quote the token.
		return settings{}, newError("request-invalid", "the settings file `%s` is not a JSON object of texts", path)
	}
	beside := func(name string) string {
		if name == "" || filepath.IsAbs(name) {
			return name
		}
		return filepath.Join(folder, name)
	}
	return settings{read.Server, read.Token, beside(read.CA), beside(read.Keys), read.Audience}, nil
}

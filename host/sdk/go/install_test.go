package signoff_test

import (
	"archive/zip"
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"signoff.dev/signoff"
)

// pollPause is the time between two looks at what another process does.
const pollPause = 50 * time.Millisecond

// installed is the version under which the module is served to an empty project.
const installed = "v0.1.0"

// TestLiveInstalledModule follows the README in an empty folder: it gets this module as the go command
// gets it from a proxy, and runs the example against a real server.
func TestLiveInstalledModule(t *testing.T) {
	binary := os.Getenv("SIGNOFF_BIN")
	if binary == "" {
		t.Skip("SIGNOFF_BIN is not set: it names the signoff binary for tests with a real server")
	}
	isolate(t)
	home := t.TempDir()
	proxy, tools := filepath.Join(home, "proxy"), filepath.Join(home, "tools")
	publish(t, proxy)
	if err := os.Mkdir(tools, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binary, filepath.Join(tools, "signoff")); err != nil {
		t.Fatal(err)
	}
	// Other modules come from this machine's cache.
	cache := goEnv(t, "GOMODCACHE")
	t.Setenv("GOPROXY", "file://"+proxy+",file://"+filepath.Join(cache, "cache", "download"))
	t.Setenv("GOMODCACHE", filepath.Join(home, "modules"))
	t.Setenv("GOSUMDB", "off")
	t.Setenv("GOFLAGS", "-modcacherw")
	t.Setenv("PATH", tools+string(os.PathListSeparator)+os.Getenv("PATH"))

	port := freePort(t)
	shells, program := examples(t, port)
	terminal := func(script string) *exec.Cmd {
		command := exec.Command("bash", "-e", "-c", script)
		command.Dir = home
		return command
	}
	// `exec`, so that the server itself is ended.
	server := terminal(strings.Replace(shells[0], "signoff serve", "exec signoff serve --quiet", 1))
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan struct{})
	go func() {
		_ = server.Wait()
		close(stopped)
	}()
	t.Cleanup(func() {
		_ = server.Process.Kill()
		<-stopped
	})
	approver := pendingOf(t, home, port, stopped)
	if err := os.WriteFile(filepath.Join(home, "demo", "agent", "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	agent := terminal(shells[1])
	var printed strings.Builder
	agent.Stdout, agent.Stderr = &printed, &printed
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- agent.Wait() }()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		// Alice's terminal would ask; a test names the request.
		if id := approver(ctx); id != "" {
			approve := strings.Replace(shells[2], "signoff approve", "signoff approve --yes "+id, 1)
			if output, err := terminal(approve).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, output)
			}
		}
	}()
	err := <-ended
	expected := "alice@company.com approved: deploying 3 replicas to prod\n"
	if err != nil || !strings.HasSuffix(printed.String(), expected) {
		t.Errorf("expected %s, found %v: %s", expected, err, printed.String())
	}
}

// publish writes this module into a folder with the layout of a module proxy.
func publish(t *testing.T, proxy string) {
	t.Helper()
	folder := filepath.Join(proxy, "signoff.dev", "signoff", "@v")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"list": installed + "\n", installed + ".info": fmt.Sprintf(`{"Version":"%s"}`, installed), installed + ".mod": string(mod),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.Create(filepath.Join(folder, installed+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	archive := zip.NewWriter(file)
	err = filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		member, err := archive.Create("signoff.dev/signoff@" + installed + "/" + filepath.ToSlash(path))
		if err == nil {
			_, err = member.Write(text)
		}
		return err
	})
	if err == nil {
		err = archive.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
}

func goEnv(t *testing.T, name string) string {
	t.Helper()
	value, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(value))
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// examples returns the commands of the three terminals and the program, as the README has them.
func examples(t *testing.T, port string) (shells []string, program string) {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "## Five minutes")
	section, _, ended := strings.Cut(section, "\n## ")
	if !found || !ended {
		t.Fatal("the README has no section `Five minutes`")
	}
	for _, block := range regexp.MustCompile("(?s)```(sh|go)\n(.*?)```").FindAllStringSubmatch(section, -1) {
		code := strings.ReplaceAll(block[2], "127.0.0.1:8787", "127.0.0.1:"+port)
		if block[1] == "go" {
			program += code
		} else {
			shells = append(shells, code)
		}
	}
	if len(shells) != 3 || program == "" {
		t.Fatalf("the section has %d shell blocks", len(shells))
	}
	return shells, program
}

// pendingOf waits until the server runs; what it returns waits for the first pending request.
func pendingOf(t *testing.T, home, port string, stopped <-chan struct{}) func(context.Context) string {
	t.Helper()
	var client *signoff.Client
	for client == nil {
		select {
		case <-stopped:
			t.Fatal("the server ended")
		case <-time.After(pollPause):
		}
		token, err := os.ReadFile(filepath.Join(home, "demo", "alice.token"))
		if err != nil || len(token) < 10 {
			continue
		}
		made := newClient(t, "http://127.0.0.1:"+port, signoff.WithToken(strings.TrimSpace(string(token))))
		// The client itself repeats what cannot be reached yet.
		if _, err := made.Keys(context.Background()); err == nil {
			client = made
		}
	}
	return func(ctx context.Context) string {
		for ctx.Err() == nil {
			time.Sleep(pollPause)
			for approval, err := range client.List(ctx, signoff.Filter{Status: signoff.Pending}) {
				if err == nil {
					return approval.ID
				}
			}
		}
		return ""
	}
}

import Testing

@testable import SandboxAgent

struct SudoOptionsTests {
    private func parsed(_ arguments: String...) -> SudoOptions? {
        guard case .run(let options) = SudoOptions.parse(arguments) else { return nil }
        return options
    }

    @Test func optionsEndWhereTheCommandBegins() {
        #expect(parsed("ls", "-E", "-u", "x") == SudoOptions(command: ["ls", "-E", "-u", "x"]))
        #expect(parsed("-n", "--", "-x")?.command == ["-x"])
        #expect(parsed("-nE", "-uuser", "true") == SudoOptions(user: "user", keepsEnvironment: true, command: ["true"]))
        #expect(parsed("--user=user", "-p", "word", "true")?.user == "user")
        #expect(parsed("A=1", "B=x=y", "./a=b", "C=2")?.variables == ["A=1", "B=x=y"])
        #expect(parsed("-i")?.isLogin == true)
    }

    @Test func whatMeansNothingHereIsRefused() {
        for arguments in [[], ["-u"], ["-b", "true"], ["-g", "root", "true"], ["--chroot=/", "true"], ["-n"]] {
            guard case .wrong = SudoOptions.parse(arguments) else {
                Issue.record("\(arguments) is taken")
                continue
            }
        }
        #expect(SudoOptions.parse(["-v"]) == .tell(""))
    }

    @Test func shellsGetTheCommandQuoted() {
        let request = parsed("-s", "echo", "it's")?.request(
            environment: ["HOME=/h", "PATH=/p", "X=1"], shell: "/bin/bash")
        #expect(request?.command == ["/bin/bash", "-c", "'echo' 'it'\\''s'"])
        #expect(request?.variables.contains("PATH=/p") == true)
        #expect(request?.variables.contains("X=1") == false)
        let login = parsed("-i")?.request(environment: [], shell: "/bin/bash")
        #expect(login?.command == ["/bin/sh", "-l"])
        #expect(login?.startsAtHome == true)
    }

    @Test func requestsAreReadAsTheyWereWritten() throws {
        var request = SudoRequest(command: ["a", "", "ü b"], variables: ["X=", "Y=1\n2"])
        request.user = "user"
        request.hasTerminal = true
        request.setsHome = false
        let bytes = request.bytes
        #expect(SudoRequest.number(bytes[...]) == bytes.count - 4)
        #expect(SudoRequest(bytes[4...]) == request)
        for count in 5..<bytes.count - 1 { #expect(SudoRequest(bytes[4..<count]) != request) }
        #expect(SudoRequest([]) == nil)
    }

    @Test func answersAreReadOnceTheyAreWhole() {
        for answer in [SudoAnswer.exited(7), .signalled(15), .refused("no")] {
            let bytes = answer.bytes
            #expect(SudoAnswer(bytes) == answer)
            #expect(SudoAnswer(Array(bytes.dropLast())) == nil)
        }
    }
}

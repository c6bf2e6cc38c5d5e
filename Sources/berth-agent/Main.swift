import Glibc
import SandboxAgent

@main
struct Main {
    static func main() {
        exit(agentMain(Array(CommandLine.arguments.dropFirst()), name: CommandLine.arguments.first ?? ""))
    }
}

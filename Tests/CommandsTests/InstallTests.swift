import DeploymentCore
import Foundation
import Testing

/// What the installer of packages gets to see.
@Suite struct InstallTests {
    @Test(.timeLimit(.minutes(10))) func installerSeesNothingOfTheHomeOrOfOtherProcesses() async throws {
        try await Machine.require(.namespaces)
        try await CLI.with { cli in
            let real = try #require(Machine.find("uv"))
            // Stands in for uv where it installs, and tells what it can reach; it has no environment to show.
            let script = """
                #!/bin/sh
                case "$1 $2" in
                "venv "*) for last; do :; done; mkdir -p "$last" ;;
                "pip sync")
                    cat \(cli.home)/token \(cli.home)/server.json >&2 && echo "secrets were read" >&2
                    ls \(cli.folder) >&2 && echo "the project was read" >&2
                    [ "$(ls /proc | grep -c '^[0-9]')" -lt 10 ] || echo "processes were seen" >&2
                    echo "nothing more to tell" >&2
                    exit 1 ;;
                *) exec \(real) "$@" ;;
                esac
                """
            try FileManager.default.createDirectory(
                atPath: "\(cli.home)/tools/bin", withIntermediateDirectories: true)
            let uv = "\(cli.home)/tools/bin/uv"
            try script.write(toFile: uv, atomically: true, encoding: .utf8)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: uv)
            let manifest = try PlainApp(more: "requirements: [toml==0.10.2]").write(cli)
            let refused = await cli.finish(try cli.start(["deploy", manifest]))
            #expect(refused.status == 11, "\(refused.all)")
            #expect(refused.all.contains("nothing more to tell"), "\(refused.all)")
            for sight in ["secrets were read", "the project was read", "processes were seen"] {
                #expect(!refused.all.contains(sight), "\(refused.all)")
            }
            #expect(FileManager.default.fileExists(atPath: "\(cli.home)/token"))
        }
    }
}

import Commands

/// `deploy manifest.yaml`, short for `berth deploy manifest.yaml`.
@main
enum Main {
    static func main() async { await CommandLineTool.main(["deploy"] + CommandLine.arguments.dropFirst()) }
}

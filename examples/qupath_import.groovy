/*
 * Imports the nuclei that wsiseg found into the images of a QuPath project (0.5 or newer).
 *
 * Automate > Script editor, open this file, set outputFolder, then Run > Run for project.
 * An image "slide.svs" gets what lies in outputFolder as slide.geojson, slide.geojson.gz, or
 * slide.part01.geojson, slide.part02.geojson, ... (from --split). Run again, it replaces these nuclei; your
 * annotations stay. On slides whose scan begins inside the slide (MRXS, SCN), the nuclei are put where QuPath
 * shows them, whether it shows the scan alone, as it does by default, or the whole slide (--no-crop).
 */
import static qupath.lib.scripting.QP.*

import java.awt.geom.AffineTransform
import java.util.zip.GZIPInputStream
import qupath.lib.objects.PathObjectTools

// The folder of `wsiseg predict -o`.
def outputFolder = "/path/to/out"

// Class by measurement: nuclei above the limit become largeClass. Give null for one class, as wsiseg writes it.
def measurement = null          // for example "Area µm^2"
def limit = 60.0
def largeClass = "Nucleus (large)"
def largeColour = [0, 90, 200]  // red, green, blue

def wanted = wsisegName(getCurrentImageNameWithoutExtension())
def files = filesOf(new File(outputFolder), wanted)
if (files.isEmpty()) {
    println "no nuclei for this image: neither ${wanted}.geojson nor parts of it in ${outputFolder}"
    return
}

def before = getDetectionObjects().findAll { it.getPathClass()?.toString()?.startsWith("Nucleus") }
removeObjects(before, true)
def others = getDetectionObjects() as Set
for (file in files) {
    if (!importObjectsFromFile(file.getPath())) {
        println "QuPath could not read ${file}"
        return
    }
}

def (moveX, moveY) = offsetOf(files[0], getCurrentServer().getWidth(), getCurrentServer().getHeight())
if (moveX != 0 || moveY != 0) {
    def move = AffineTransform.getTranslateInstance(moveX, moveY)
    def imported = getDetectionObjects().findAll { !others.contains(it) }
    removeObjects(imported, true)
    addObjects(imported.collect { PathObjectTools.transformObject(it, move, true) })
    println "moved by ${moveX}, ${moveY} px to where QuPath shows the scan"
}

if (measurement != null) {
    def large = getPathClass(largeClass, makeRGB(largeColour[0], largeColour[1], largeColour[2]))
    getDetectionObjects().findAll { (it.measurements[measurement] ?: 0.0) > limit }.each { it.setPathClass(large) }
}
fireHierarchyUpdate()
println "${getDetectionObjects().size()} nuclei from ${files*.getName().join(', ')}"

/** The name that wsiseg gives to the outputs of an image: what no file system minds stays, the rest is "_". */
static String wsisegName(String name) {
    def base = name.endsWith(".ome") ? name[0..-5] : name
    def kept = base.collect { Character.isLetterOrDigit(it as char) || " ._-()+=@,".contains(it) ? it : "_" }.join()
    return kept.replaceAll(/^[ .]+|[ .]+$/, "")
}

/** The file of an image, or its parts in their order. */
static List<File> filesOf(File folder, String name) {
    def whole = [".geojson", ".geojson.gz"].collect { new File(folder, name + it) }.findAll { it.isFile() }
    if (!whole.isEmpty())
        return [whole[0]]
    def parts = (folder.listFiles() ?: []).findAll { it.name ==~ /\Q${name}\E\.part\d+\.geojson(\.gz)?/ }
    return parts.sort { (it.name =~ /\.part(\d+)\.geojson/)[0][1] as int }
}

/** How far nuclei have to be moved: the first line of a file says where the scan begins and what it counts from. */
static List<Integer> offsetOf(File file, int width, int height) {
    def stream = file.newInputStream()
    def line = (file.name.endsWith(".gz") ? new GZIPInputStream(stream) : stream).withReader("UTF-8") { it.readLine() ?: "" }
    def said = line =~ /"origin":"(slide|scan)","scan_l0":\[(\d+),(\d+),(\d+),(\d+)\]/
    if (!said.find())
        return [0, 0]
    def (x, y, scanWidth, scanHeight) = (2..5).collect { said.group(it) as int }
    def showsScan = width == scanWidth && height == scanHeight
    if (said.group(1) == "slide")
        return showsScan ? [-x, -y] : [0, 0]
    return showsScan ? [0, 0] : [x, y]
}

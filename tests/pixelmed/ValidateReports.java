import com.pixelmed.validate.DicomSRValidator;

/** Judges many structured reports in one process: the compiling of the rules takes longest. */
class ValidateReports {
    public static void main(String[] files) throws Exception {
        DicomSRValidator validator = new DicomSRValidator();
        for (String file : files) {
            System.out.println("== " + file);
            System.out.println(validator.validate(file));
        }
    }
}

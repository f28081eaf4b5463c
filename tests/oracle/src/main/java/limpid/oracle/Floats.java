/**
 * Writes how Java 19 and later print floating point numbers, whatever Java this runs on.
 *
 * <p>Owns: a list of bit patterns and their text, by Jackson's copy of the algorithm that JDK 19 took in (R. Giulietti's
 * Schubfach). Does not own: our own printing.
 *
 * <p>Invariant: the same list at every run.
 */
package limpid.oracle;

import com.fasterxml.jackson.core.io.schubfach.DoubleToDecimal;
import com.fasterxml.jackson.core.io.schubfach.FloatToDecimal;
import java.util.Random;

public final class Floats {
    public static void main(String[] args) {
        Random random = new Random(19);
        for (long bits = 0; bits < 250; bits++) {
            print(bits);
            print((int) bits);
        }
        for (int power = -330; power <= 308; power++) {
            long bits = Double.doubleToRawLongBits(Double.parseDouble("1e" + power));
            for (long next = Math.max(0, bits - 1); next <= bits + 1; next++) {
                print(next);
            }
        }
        for (int power = -46; power <= 38; power++) {
            int bits = Float.floatToRawIntBits(Float.parseFloat("1e" + power));
            for (int next = Math.max(0, bits - 1); next <= bits + 1; next++) {
                print(next);
            }
        }
        for (int power = 0; power < 2047; power += 7) {
            print((long) power << 52);
            print((long) power << 52 | 1);
            print(((long) power << 52) - 1 & Long.MAX_VALUE);
        }
        for (int power = 0; power < 255; power++) {
            print(power << 23);
            print(power << 23 | 1);
        }
        for (int count = 0; count < 600; count++) {
            print(random.nextLong());
            print(Double.doubleToRawLongBits(random.nextInt(100_000_000) / 100.0));
            print(random.nextInt());
        }
        print(Double.doubleToRawLongBits(Double.MAX_VALUE));
        print(Double.doubleToRawLongBits(-0.0));
        print(Float.floatToRawIntBits(Float.MAX_VALUE));
        print(Double.doubleToRawLongBits(2e23));
        print(Double.doubleToRawLongBits(9_999_999.999));
    }

    private static void print(long bits) {
        double value = Double.longBitsToDouble(bits);
        if (Double.isFinite(value)) {
            System.out.printf("d\t%016x\t%s%n", bits, DoubleToDecimal.toString(value));
        }
    }

    private static void print(int bits) {
        float value = Float.intBitsToFloat(bits);
        if (Float.isFinite(value)) {
            System.out.printf("f\t%08x\t%s%n", bits, FloatToDecimal.toString(value));
        }
    }
}
